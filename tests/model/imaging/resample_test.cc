#include "model/imaging/resample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

Image Grey(int width, int height, std::vector<uint8_t> pixels) {
  return {.width = width, .height = height, .channels = 1, .pixels = std::move(pixels)};
}

TEST(ResampleTest, AFlatPictureStaysFlat) {
  Image image{.width = 37, .height = 23, .channels = 3, .pixels = {}};
  image.pixels.assign(size_t{37} * 23 * 3, 201);
  for (const auto& [width, height] : {std::pair(5, 7), {16, 16}, {37, 3}, {100, 90}, {1, 1}}) {
    const Image out = Resample(image, width, height);
    EXPECT_EQ(out.width, width);
    EXPECT_EQ(out.height, height);
    ASSERT_TRUE(CheckImage(out).ok());
    EXPECT_THAT(out.pixels, Each(201));
  }
}

// Half the size: a pixel weighs 1, 3, 3, 1 eighths of its four neighbours.
TEST(ResampleTest, ShrinkingWeighsByATriangle) {
  EXPECT_THAT(Resample(Grey(8, 1, {0, 0, 0, 80, 160, 0, 0, 0}), 4, 1).pixels,
              ElementsAre(0, 50, 70, 0));
  EXPECT_THAT(Resample(Grey(1, 8, {0, 0, 0, 80, 160, 0, 0, 0}), 1, 4).pixels,
              ElementsAre(0, 50, 70, 0));
}

TEST(ResampleTest, GrowingInterpolates) {
  EXPECT_THAT(Resample(Grey(2, 1, {0, 100}), 4, 1).pixels, ElementsAre(0, 25, 75, 100));
}

// A pattern too fine for the result must become its mean, not a pattern of another size.
TEST(ResampleTest, FinePatternsDoNotAlias) {
  Image stripes{.width = 1000, .height = 4, .channels = 1, .pixels = {}};
  for (int i = 0; i < 4000; ++i) stripes.pixels.push_back(i % 2 == 0 ? 255 : 0);
  for (const uint8_t value : Resample(stripes, 37, 4).pixels) EXPECT_NEAR(value, 127.5, 3);
}

TEST(ResampleTest, ChannelsStayApart) {
  Image image{.width = 2, .height = 1, .channels = 3, .pixels = {10, 20, 30, 30, 60, 90}};
  EXPECT_THAT(Resample(image, 1, 1).pixels, ElementsAre(20, 40, 60));
}

TEST(ResampleTest, TheSmallerSideIsGiven) {
  const Image wide = ResampleSmallerSide(NoiseImage(47, 33, 1), 16);
  EXPECT_EQ(wide.width, 23);  // 22.8.
  EXPECT_EQ(wide.height, 16);
  const Image high = ResampleSmallerSide(NoiseImage(33, 47, 1), 66);
  EXPECT_EQ(high.width, 66);
  EXPECT_EQ(high.height, 94);
  EXPECT_EQ(ResampleSmallerSide(NoiseImage(9, 9, 3), 9).pixels, NoiseImage(9, 9, 3).pixels);
}

TEST(ResampleTest, CropTakesTheMiddle) {
  EXPECT_THAT(CenterCrop(Grey(4, 3, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), 2, 1).pixels,
              ElementsAre(5, 6));
  EXPECT_THAT(CenterCrop(Grey(3, 1, {7, 8, 9}), 2, 1).pixels, ElementsAre(7, 8));
}

TEST(ResampleTest, CoverCutsOffWhatOverhangs) {
  EXPECT_THAT(Cover(Grey(4, 2, {0, 1, 2, 3, 4, 5, 6, 7}), 2, 2).pixels, ElementsAre(1, 2, 5, 6));
  EXPECT_THAT(Cover(Grey(1, 3, {7, 8, 9}), 1, 1).pixels, ElementsAre(8));
  EXPECT_THAT(Cover(Grey(2, 4, {10, 20, 30, 40, 50, 60, 70, 80}), 2, 1).pixels,
              ElementsAre(30, 40));
}

TEST(ResampleTest, ContainRepeatsTheEdges) {
  EXPECT_THAT(Contain(Grey(2, 1, {3, 9}), 2, 3).pixels, ElementsAre(3, 9, 3, 9, 3, 9));
  EXPECT_THAT(Contain(Grey(1, 2, {3, 9}), 4, 2).pixels, ElementsAre(3, 3, 3, 3, 9, 9, 9, 9));
}

// No side vanishes, however thin the picture, and none grows past what is asked for.
TEST(ResampleTest, FittedPicturesHaveTheSizeAskedFor) {
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 4096}, {4096, 1}, {31, 17}, {28, 28}, {3, 200}};
  for (const auto& [width, height] : sizes) {
    for (const auto& [to_width, to_height] : sizes) {
      for (const auto& fit : {Cover, Contain}) {
        const Image fitted = fit(NoiseImage(width, height, 3), to_width, to_height);
        EXPECT_EQ(fitted.width, to_width) << width << " x " << height;
        EXPECT_EQ(fitted.height, to_height) << width << " x " << height;
        EXPECT_TRUE(CheckImage(fitted).ok()) << CheckImage(fitted);
      }
    }
  }
}

}  // namespace
}  // namespace diffusiond
