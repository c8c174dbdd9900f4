#include "model/imaging/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ToImageTest, RoundsHalfToEvenAndClamps) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  struct Case {
    float value;
    int byte;
  };
  // 0 is 127.5 exactly, which goes to 128; -0.5 is 63.75; 0.5 is 191.25. 1 / 255 and 3 / 255 are
  // what numpy makes of (v / 2 + 0.5) * 255 in float32.
  const Case cases[] = {{-1, 0},           {1, 255},       {0, 128},        {-0.5f, 64},
                        {0.5f, 191},       {-7, 0},        {7, 255},        {nan, 0},
                        {-nan, 0},         {-infinity, 0}, {infinity, 255}, {1.0f / 255, 128},
                        {3.0f / 255, 129}, {-0.99f, 1},    {0.99f, 254},    {-0.999f, 0}};
  for (const Case& c : cases) {
    const Image image = ToImage({.channels = 1, .height = 1, .width = 1, .values = {c.value}});
    EXPECT_THAT(image.pixels, ElementsAre(c.byte)) << "value " << c.value;
  }
}

TEST(ToImageTest, EveryTieGoesToTheEvenByte) {
  int ties = 0;
  for (int byte = 0; byte < 255; ++byte) {
    const float value = ((byte + 0.5f) / 255 - 0.5f) * 2;
    if ((value / 2 + 0.5f) * 255.0f != byte + 0.5f) continue;  // Not a tie in float32.
    ++ties;
    const Image image = ToImage({.channels = 1, .height = 1, .width = 1, .values = {value}});
    EXPECT_THAT(image.pixels, ElementsAre(byte + byte % 2)) << byte;
  }
  EXPECT_GT(ties, 50);
}

TEST(ToImageTest, InterleavesChannels) {
  const Frame frame{.channels = 3, .height = 1, .width = 2, .values = {-1, 1, 0, 0, 1, -1}};
  const Image image = ToImage(frame);
  EXPECT_EQ(image.width, 2);
  EXPECT_EQ(image.height, 1);
  EXPECT_EQ(image.channels, 3);
  EXPECT_THAT(image.pixels, ElementsAre(0, 128, 255, 255, 128, 0));
}

TEST(ToImageTest, ShowsTheFirstChannelsOfOtherCounts) {
  const Image two = ToImage({.channels = 2, .height = 1, .width = 1, .values = {1, -1}});
  EXPECT_EQ(two.channels, 1);
  EXPECT_THAT(two.pixels, ElementsAre(255));
  const Image four = ToImage({.channels = 4, .height = 1, .width = 1, .values = {1, -1, 0, 1}});
  EXPECT_EQ(four.channels, 3);
  EXPECT_THAT(four.pixels, ElementsAre(255, 0, 128));
}

TEST(ToImageTest, FrameThatDoesNotFillItsShapeIsEmpty) {
  const Frame frames[] = {{},
                          {.channels = 1, .height = 2, .width = 2, .values = {1, 1, 1}},
                          {.channels = 1, .height = 2, .width = 2, .values = {1, 1, 1, 1, 1}},
                          {.channels = 0, .height = 1, .width = 1, .values = {1}},
                          {.channels = 1, .height = -1, .width = -1, .values = {1}}};
  for (const Frame& frame : frames) {
    const Image image = ToImage(frame);
    EXPECT_EQ(image.width, 0);
    EXPECT_THAT(image.pixels, IsEmpty());
    EXPECT_FALSE(CheckImage(image).ok());
  }
}

TEST(ToGreyTest, WeighsColoursAsPillowDoes) {
  const Image image{.width = 5,
                    .height = 1,
                    .channels = 3,
                    .pixels = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 255, 255, 255}};
  EXPECT_THAT(ToGrey(image).pixels, ::testing::ElementsAre(76, 150, 29, 9, 255));
  EXPECT_FALSE(HasNoColour(image));
  EXPECT_TRUE(HasNoColour({.width = 1, .height = 1, .channels = 3, .pixels = {9, 9, 9}}));
  EXPECT_TRUE(HasNoColour(ToGrey(image)));
}

TEST(ToFrameTest, ToImageUndoesItForEveryByte) {
  Image image{.width = 256, .height = 1, .channels = 1, .pixels = {}};
  for (int i = 0; i < 256; ++i) image.pixels.push_back(static_cast<uint8_t>(i));
  const Frame frame = ToFrame(image);
  EXPECT_EQ(frame.values.front(), -1);
  EXPECT_EQ(frame.values.back(), 1);
  EXPECT_EQ(ToImage(frame).pixels, image.pixels);

  const Image noise = NoiseImage(5, 3, 3);
  EXPECT_EQ(ToImage(ToFrame(noise)).pixels, noise.pixels);
}

TEST(ToFrameTest, SeparatesChannels) {
  const Frame frame =
      ToFrame({.width = 2, .height = 1, .channels = 3, .pixels = {0, 255, 0, 255, 0, 255}});
  EXPECT_THAT(frame.values, ElementsAre(-1, 1, 1, -1, -1, 1));
}

TEST(CheckImageTest, NamesWhatIsWrong) {
  struct Case {
    Image image;
    const char* expected;
  };
  const Case cases[] = {
      {{.width = 1, .height = 1, .channels = 2, .pixels = {0, 0}}, "2 channels"},
      {{.width = 0, .height = 1, .channels = 1, .pixels = {}}, "0 x 1"},
      {{.width = 1, .height = -1, .channels = 1, .pixels = {}}, "1 x -1"},
      {{.width = 8193, .height = 1, .channels = 1, .pixels = std::vector<uint8_t>(8193)}, "8193"},
      {{.width = 2, .height = 2, .channels = 1, .pixels = {0, 0, 0}}, "3 bytes, expected 4"},
  };
  for (const Case& c : cases) {
    const absl::Status status = CheckImage(c.image);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(c.expected));
  }
}

TEST(OverWhiteTest, BlendsByAlpha) {
  const std::vector<uint8_t> bytes = {10, 20, 30, 0, 10, 20, 30, 255, 0, 100, 200, 128};
  const Image image = OverWhite(3, 1, 3, bytes);
  EXPECT_THAT(image.pixels, ElementsAre(255, 255, 255, 10, 20, 30, 127, 177, 227));
}

}  // namespace
}  // namespace diffusiond
