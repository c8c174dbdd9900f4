#include "model/training/data/epoch_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace diffusiond {
namespace {

std::vector<int64_t> Take(EpochOrder& order, int64_t first, int64_t count) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back(order.At(first + i));
  return indices;
}

TEST(EpochOrderTest, EachEpochHoldsEveryIndexOnce) {
  for (const int64_t size : {1, 2, 3, 7, 64, 1000}) {
    EpochOrder order(size, 42);
    for (int epoch = 0; epoch < 5; ++epoch) {
      std::vector<int64_t> indices = Take(order, epoch * size, size);
      std::sort(indices.begin(), indices.end());
      for (int64_t i = 0; i < size; ++i) ASSERT_EQ(indices[i], i) << size << ", epoch " << epoch;
    }
  }
}

TEST(EpochOrderTest, EpochsAndSeedsDiffer) {
  EpochOrder order(100, 7);
  const std::vector<int64_t> first = Take(order, 0, 100);
  EXPECT_NE(first, Take(order, 100, 100));
  EXPECT_NE(first, Take(order, 200, 100));
  EpochOrder other(100, 8);
  EXPECT_NE(first, Take(other, 0, 100));
  // Neighbouring seeds are not each other's epochs moved by one.
  EXPECT_NE(Take(order, 100, 100), Take(other, 0, 100));
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
}

TEST(EpochOrderTest, GoesOnFromAnyPositionWithTheSameSequence) {
  EpochOrder whole(37, 5);
  const std::vector<int64_t> all = Take(whole, 0, 200);
  for (const int64_t start : {0, 1, 36, 37, 38, 73, 74, 111, 150, 199}) {
    EpochOrder resumed(37, 5);
    for (int64_t i = start; i < 200; ++i) ASSERT_EQ(resumed.At(i), all[i]) << start << ", " << i;
  }
  // Backwards, too.
  for (int64_t i = 199; i >= 0; --i) ASSERT_EQ(whole.At(i), all[i]) << i;
}

// A run that is resumed by a newer build must meet the same images.
TEST(EpochOrderTest, SequenceIsFixed) {
  EpochOrder order(8, 2026);
  EXPECT_THAT(Take(order, 0, 16),
              ::testing::ElementsAre(2, 6, 7, 0, 1, 5, 4, 3, 5, 2, 1, 7, 6, 4, 0, 3));
  EpochOrder late(8, 2026);
  EXPECT_THAT(Take(late, int64_t{8} << 40, 8), ::testing::ElementsAre(7, 3, 5, 2, 1, 4, 0, 6));
}

TEST(EpochOrderTest, EveryPermutationOfThreeIsAboutAsFrequent) {
  int counts[27] = {};
  EpochOrder order(3, 1);
  constexpr int kEpochs = 6000;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<int64_t> p = Take(order, epoch * 3, 3);
    ++counts[p[0] * 9 + p[1] * 3 + p[2]];
  }
  int permutations = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++permutations;
    EXPECT_NEAR(count, kEpochs / 6, 150);  // Five standard deviations.
  }
  EXPECT_EQ(permutations, 6);
}

}  // namespace
}  // namespace diffusiond
