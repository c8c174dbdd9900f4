#include "model/sampling/row_noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "model/sampling/philox.h"

namespace diffusiond {
namespace {

using testing::ElementsAre;

// From the authors' kat_vectors file (Random123 1.09).
TEST(PhiloxTest, PublishedVectors) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(
      Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(
      Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

std::vector<float> Noise(uint64_t seed, uint32_t image, uint32_t row, size_t count,
                         uint32_t stream = 0) {
  std::vector<float> z(count);
  FillRowNoise(seed, image, row, z, stream);
  return z;
}

TEST(RowNoiseTest, EveryPartOfTheAddressMatters) {
  const std::set<std::vector<float>> different = {
      Noise(1, 0, 0, 8), Noise(2, 0, 0, 8), Noise(uint64_t{1} << 32, 0, 0, 8),
      Noise(1, 1, 0, 8), Noise(1, 0, 1, 8), Noise(1, 0, 0, 8, 1)};
  EXPECT_EQ(different.size(), 6u);
}

TEST(RowNoiseTest, ElementsDoNotDependOnHowManyAreAskedFor) {
  const std::vector<float> all = Noise(7, 3, 5, 101);
  for (size_t count : {1u, 2u, 3u, 4u, 5u, 100u}) {
    const std::vector<float> some = Noise(7, 3, 5, count);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << count;
  }
}

TEST(RowNoiseTest, IsStandardNormal) {
  constexpr size_t kCount = 1000000;
  const std::vector<float> z = Noise(42, 0, 0, kCount);
  double moments[5] = {};
  int64_t beyond_two = 0;
  for (float value : z) {
    ASSERT_TRUE(std::isfinite(value));
    double power = 1;
    for (double& moment : moments) {
      moment += power / kCount;
      power *= value;
    }
    if (std::abs(value) > 2) ++beyond_two;
  }
  // Five standard errors each.
  EXPECT_NEAR(moments[1], 0, 5e-3);
  EXPECT_NEAR(moments[2], 1, 5 * std::sqrt(2.0) * 1e-3);
  EXPECT_NEAR(moments[3], 0, 5 * std::sqrt(15.0) * 1e-3);
  EXPECT_NEAR(moments[4], 3, 5 * std::sqrt(96.0) * 1e-3);
  EXPECT_NEAR(static_cast<double>(beyond_two) / kCount, 0.0455003, 5 * 2.1e-4);
}

}  // namespace
}  // namespace diffusiond
