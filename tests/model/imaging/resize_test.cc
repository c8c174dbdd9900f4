#include "model/imaging/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

TEST(UpscaleTest, MakesSquares) {
  const Image image{.width = 2, .height = 2, .channels = 1, .pixels = {1, 2, 3, 4}};
  const Image large = Upscale(image, 2);
  EXPECT_EQ(large.width, 4);
  EXPECT_EQ(large.height, 4);
  EXPECT_THAT(large.pixels, ElementsAre(1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4));
  const Image rgb{.width = 1, .height = 1, .channels = 3, .pixels = {1, 2, 3}};
  EXPECT_THAT(Upscale(rgb, 2).pixels, ElementsAre(1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3));
  EXPECT_EQ(Upscale(image, 1).pixels, image.pixels);
  EXPECT_EQ(Upscale(image, 0).pixels, image.pixels);
}

TEST(ReduceTest, AveragesBoxesAndWhatIsLeftAtTheEdges) {
  const Image image{
      .width = 3, .height = 3, .channels = 1, .pixels = {0, 10, 20, 30, 41, 60, 100, 200, 255}};
  const Image small = Reduce(image, 2);
  EXPECT_EQ(small.width, 2);
  EXPECT_EQ(small.height, 2);
  // (0 + 10 + 30 + 41) / 4 = 20.25, (20 + 60) / 2, (100 + 200) / 2, 255.
  EXPECT_THAT(small.pixels, ElementsAre(20, 40, 150, 255));
}

TEST(ReduceTest, ReducesChannelsApart) {
  const Image image{.width = 2, .height = 1, .channels = 3, .pixels = {0, 10, 20, 2, 30, 61}};
  EXPECT_THAT(Reduce(image, 1).pixels, ElementsAre(1, 20, 41));
  const Frame frame{.channels = 2, .height = 1, .width = 2, .values = {-1, 0.5f, 1, 0}};
  const Frame small = Reduce(frame, 1);
  EXPECT_EQ(small.width, 1);
  EXPECT_EQ(small.height, 1);
  EXPECT_THAT(small.values, ElementsAre(-0.25f, 0.5f));
}

TEST(ReduceTest, TakesTheLeastFactorThatFits) {
  struct Case {
    int width, height, max_side;
    int expected_width, expected_height;
  };
  const Case cases[] = {{64, 64, 0, 64, 64},  {64, 64, 64, 64, 64}, {64, 64, 63, 32, 32},
                        {64, 64, 32, 32, 32}, {64, 64, 31, 22, 22}, {100, 10, 30, 25, 3},
                        {10, 100, 30, 3, 25}, {5, 5, 1, 1, 1},      {64, 64, -1, 64, 64}};
  for (const Case& c : cases) {
    const Image image = Reduce(NoiseImage(c.width, c.height, 3), c.max_side);
    EXPECT_EQ(image.width, c.expected_width);
    EXPECT_EQ(image.height, c.expected_height);
    EXPECT_TRUE(CheckImage(image).ok());
    const Frame frame = Reduce(ToFrame(NoiseImage(c.width, c.height, 3)), c.max_side);
    EXPECT_EQ(frame.width, c.expected_width);
    EXPECT_EQ(frame.height, c.expected_height);
    EXPECT_EQ(frame.values.size(), image.pixels.size());
  }
}

TEST(ReduceTest, FrameAndImageAgree) {
  const Image image = NoiseImage(50, 35, 3);
  const Image a = Reduce(image, 20);
  const Image b = ToImage(Reduce(ToFrame(image), 20));
  ASSERT_EQ(a.pixels.size(), b.pixels.size());
  for (size_t i = 0; i < a.pixels.size(); ++i) EXPECT_NEAR(a.pixels[i], b.pixels[i], 1) << i;
}

}  // namespace
}  // namespace diffusiond
