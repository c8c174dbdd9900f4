#include "model/training/data/hold_out.h"

#include <algorithm>

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

ImageDataset Numbered(int count) {
  ImageDataset dataset{.channels = 1,
                       .height = 1,
                       .width = 1,
                       .pixels = {},
                       .labels = {},
                       .class_names = {"even", "odd"},
                       .digest = {}};
  for (int i = 0; i < count; ++i) {
    dataset.pixels.push_back(static_cast<uint8_t>(i));
    dataset.labels.push_back(i % 2);
  }
  dataset.digest = DigestOf(dataset);
  return dataset;
}

TEST(HoldOutTest, PartsMakeTheWholeAndKeepItsOrder) {
  const HeldOut parts = HoldOut(Numbered(100), 30, 1);
  EXPECT_EQ(parts.train.size(), 70);
  EXPECT_EQ(parts.held_out.size(), 30);
  std::vector<uint8_t> merged;
  std::merge(parts.train.pixels.begin(), parts.train.pixels.end(), parts.held_out.pixels.begin(),
             parts.held_out.pixels.end(), std::back_inserter(merged));
  EXPECT_EQ(merged, Numbered(100).pixels);
  EXPECT_EQ(parts.train.class_names, Numbered(100).class_names);
  for (const ImageDataset* part : {&parts.train, &parts.held_out}) {
    EXPECT_TRUE(std::is_sorted(part->pixels.begin(), part->pixels.end()));
    for (int64_t i = 0; i < part->size(); ++i) EXPECT_EQ(part->labels[i], part->pixels[i] % 2);
    EXPECT_EQ(part->digest, DigestOf(*part));
  }
}

TEST(HoldOutTest, DependsOnTheSeedAlone) {
  EXPECT_EQ(HoldOut(Numbered(100), 30, 1).held_out.pixels,
            HoldOut(Numbered(100), 30, 1).held_out.pixels);
  EXPECT_NE(HoldOut(Numbered(100), 30, 1).held_out.pixels,
            HoldOut(Numbered(100), 30, 2).held_out.pixels);
}

TEST(HoldOutTest, TrainingKeepsAtLeastOneImage) {
  EXPECT_EQ(HoldOut(Numbered(5), 9, 1).train.size(), 1);
  EXPECT_EQ(HoldOut(Numbered(5), 9, 1).held_out.size(), 4);
  EXPECT_EQ(HoldOut(Numbered(1), 1, 1).train.size(), 1);
  for (const int count : {0, -3}) {
    const HeldOut parts = HoldOut(Numbered(5), count, 1);
    EXPECT_EQ(parts.train.pixels, Numbered(5).pixels);
    EXPECT_EQ(parts.train.digest, Numbered(5).digest);
    EXPECT_EQ(parts.held_out.size(), 0);
  }
}

}  // namespace
}  // namespace diffusiond
