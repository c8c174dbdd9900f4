// Damaged files must give an error or a well-formed picture: no crash, no wild read, no huge
// allocation. Worth most under the address sanitizer.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "model/imaging/decode.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/webp.h"
#include "tests/model/imaging/codec_fixtures.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

constexpr DecodeLimits kLimits{.max_side = 256};

void ExpectErrorOrPicture(const std::string& bytes) {
  // Each decoder, whatever the first bytes say.
  for (const auto& image : {DecodePng(bytes, kLimits), DecodeJpeg(bytes, kLimits),
                            DecodeWebp(bytes, kLimits), DecodeImage(bytes, kLimits)}) {
    if (image.ok()) {
      ASSERT_TRUE(CheckImage(*image).ok()) << CheckImage(*image);
    } else {
      ASSERT_TRUE(absl::IsInvalidArgument(image.status()) || absl::IsOutOfRange(image.status()))
          << image.status();
    }
  }
}

class DamagedFileTest : public ::testing::TestWithParam<std::string> {};

TEST_P(DamagedFileTest, IsRefusedOrReadButNeverCrashes) {
  const std::string& original = GetParam();
  for (size_t i = 0; i < original.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string damaged = original;
      damaged[i] = static_cast<char>(damaged[i] ^ mask);
      ExpectErrorOrPicture(damaged);
    }
    ExpectErrorOrPicture(original.substr(0, i));
    ExpectErrorOrPicture(original.substr(i));
    ExpectErrorOrPicture(original.substr(0, i) + original);
  }
}

TEST_P(DamagedFileTest, SurvivesManyDamagesAtOnce) {
  uint32_t state = 2463534242;
  const auto next = [&] {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
  };
  for (int round = 0; round < 300; ++round) {
    std::string damaged = GetParam();
    for (uint32_t i = 0, count = 1 + next() % 8; i < count; ++i) {
      damaged[next() % damaged.size()] = static_cast<char>(next());
    }
    ExpectErrorOrPicture(damaged);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, DamagedFileTest,
                         ::testing::Values(*EncodePng(NoiseImage(9, 9, 3)), FromHex(kInterlacedPng),
                                           FromHex(kPalettePng), FromHex(kGreyAlpha16Png),
                                           *EncodeJpeg(NoiseImage(17, 9, 3), 80),
                                           FromHex(kGreyJpeg), FromHex(kProgressiveJpeg),
                                           FromHex(kCmykJpeg),
                                           *EncodeWebpLossless(NoiseImage(9, 9, 3)),
                                           FromHex(kLossyWebp), FromHex(kAlphaWebp),
                                           FromHex(kAnimatedWebp)),
                         [](const auto& info) { return "File" + std::to_string(info.index); });

}  // namespace
}  // namespace diffusiond
