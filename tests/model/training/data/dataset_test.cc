#include "model/training/data/dataset.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

ImageDataset FourOfTwo() {
  ImageDataset dataset{.channels = 3,
                       .height = 1,
                       .width = 2,
                       .pixels = {},
                       .labels = {1, 0, 1, 0},
                       .class_names = {"zero", "one"},
                       .digest = {}};
  for (int i = 0; i < 24; ++i) dataset.pixels.push_back(static_cast<uint8_t>(i));
  return dataset;
}

TEST(DatasetTest, KnowsItsImages) {
  const ImageDataset dataset = FourOfTwo();
  EXPECT_EQ(dataset.size(), 4);
  EXPECT_EQ(dataset.image_bytes(), 6);
  EXPECT_THAT(dataset.image(1), ElementsAre(6, 7, 8, 9, 10, 11));
  EXPECT_THAT(ImageAt(dataset, 1).pixels, ElementsAre(6, 8, 10, 7, 9, 11));
  EXPECT_EQ(ImageDataset().size(), 0);
}

TEST(DatasetTest, DigestIsThatOfShapePixelsAndLabels) {
  // printf '4 3 1 2\n' with bytes 0 .. 23 and 1 0 1 0 as little-endian int32, through sha256sum.
  EXPECT_EQ(DigestOf(FourOfTwo()),
            "3090dfe6aac7aeff422bc72e068b0f4cf55d7305f2bee56d675b2384d3e27cae");
  ImageDataset other = FourOfTwo();
  other.class_names = {"a", "b"};
  EXPECT_EQ(DigestOf(other), DigestOf(FourOfTwo()));
  other.labels[0] = 0;
  EXPECT_NE(DigestOf(other), DigestOf(FourOfTwo()));
  other = FourOfTwo();
  other.pixels[23] ^= 1;
  EXPECT_NE(DigestOf(other), DigestOf(FourOfTwo()));
  other = FourOfTwo();
  std::swap(other.height, other.width);
  EXPECT_NE(DigestOf(other), DigestOf(FourOfTwo()));
}

TEST(DatasetTest, SelectKeepsOrderLabelsAndNames) {
  const int64_t indices[] = {2, 0};
  const ImageDataset selected = Select(FourOfTwo(), indices);
  EXPECT_EQ(selected.size(), 2);
  EXPECT_THAT(selected.image(0), ElementsAre(12, 13, 14, 15, 16, 17));
  EXPECT_THAT(selected.image(1), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(selected.labels, ElementsAre(1, 1));
  EXPECT_THAT(selected.class_names, ElementsAre("zero", "one"));
  EXPECT_EQ(selected.digest, DigestOf(selected));
  EXPECT_NE(selected.digest, DigestOf(FourOfTwo()));
}

TEST(DatasetTest, EvenlySpreadCoversTheWhole) {
  EXPECT_THAT(EvenlySpread(10, 4), ElementsAre(0, 2, 5, 7));
  EXPECT_THAT(EvenlySpread(3, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(EvenlySpread(3, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(EvenlySpread(3, -1), ElementsAre(0, 1, 2));
  EXPECT_THAT(EvenlySpread(3, 9), ElementsAre(0, 1, 2));
  EXPECT_THAT(EvenlySpread(3, 1), ElementsAre(0));
}

TEST(DatasetTest, MemoryLimitIsExact) {
  EXPECT_TRUE(CheckDatasetBytes(10, 3, 2, 2, 120).ok());
  const absl::Status status = CheckDatasetBytes(10, 3, 2, 2, 119);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("10 images of 2 x 2 x 3"));
  EXPECT_FALSE(CheckDatasetBytes(int64_t{1} << 62, 3, 8192, 8192, kMaxDatasetBytes).ok());
}

}  // namespace
}  // namespace diffusiond
