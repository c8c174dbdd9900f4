#include "server/imaging/frame_encoder.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/webp.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Frame Ramp(int channels, int height, int width) {
  Frame frame{channels, height, width, {}};
  const int size = channels * height * width;
  for (int i = 0; i < size; ++i) {
    frame.values.push_back(-1.0f + 2.0f * static_cast<float>(i) / static_cast<float>(size - 1));
  }
  return frame;
}

TEST(FrameEncoder, LosslessFilesDecodeToTheImage) {
  for (const int channels : {1, 3}) {
    const Frame frame = Ramp(channels, 6, 5);
    const Image expected = ToImage(frame);

    const auto png = EncodeFrame(frame, {.encoding = ImageEncoding::kPng});
    ASSERT_TRUE(png.ok()) << png.status();
    EXPECT_EQ(png->width, 5);
    EXPECT_EQ(png->height, 6);
    EXPECT_EQ(DecodePng(png->data)->pixels, expected.pixels);

    const auto webp = EncodeFrame(frame, {.encoding = ImageEncoding::kWebp});
    ASSERT_TRUE(webp.ok()) << webp.status();
    if (channels == 3) {
      EXPECT_EQ(DecodeWebp(webp->data)->pixels, expected.pixels);
    }
  }
}

TEST(FrameEncoder, JpegDecodesToNearlyTheImage) {
  const auto jpeg = EncodeFrame(Ramp(1, 16, 16), {.encoding = ImageEncoding::kJpeg});
  ASSERT_TRUE(jpeg.ok()) << jpeg.status();
  const Image expected = ToImage(Ramp(1, 16, 16));
  const auto decoded = DecodeJpeg(jpeg->data);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->pixels.size(), expected.pixels.size());
  for (size_t i = 0; i < expected.pixels.size(); ++i) {
    EXPECT_NEAR(decoded->pixels[i], expected.pixels[i], 6);
  }
}

TEST(FrameEncoder, RawFloatsAreTheModelsOwnBytes) {
  Frame frame = Ramp(2, 3, 4);
  frame.values[0] = 1.75f;  // Not clamped.
  const auto raw = EncodeFrame(frame, {.encoding = ImageEncoding::kRawFloat32, .max_side = 1});
  ASSERT_TRUE(raw.ok()) << raw.status();
  ASSERT_EQ(raw->data.size(), 2u * 3 * 4 * 4);
  EXPECT_EQ(std::memcmp(raw->data.data(), frame.values.data(), raw->data.size()), 0);
  EXPECT_EQ(raw->width, 4);
  EXPECT_EQ(raw->height, 3);
}

TEST(FrameEncoder, MaxSideReducesByAnIntegerFactor) {
  const auto png = EncodeFrame(Ramp(3, 9, 30), {.max_side = 16});
  ASSERT_TRUE(png.ok()) << png.status();
  EXPECT_EQ(png->width, 15);
  EXPECT_EQ(png->height, 5);
  EXPECT_EQ(DecodePng(png->data)->width, 15);
}

TEST(FrameEncoder, DigestIsOfTheBytesAndOnlyWhenAskedFor) {
  const Frame frame{1, 1, 1, {0.0f}};
  const auto raw = EncodeFrame(frame, {.encoding = ImageEncoding::kRawFloat32, .digest = true});
  // SHA-256 of four zero bytes.
  EXPECT_EQ(raw->sha256, "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119");
  EXPECT_THAT(EncodeFrame(frame, {})->sha256, IsEmpty());
}

TEST(FrameEncoder, WhatCannotBeEncodedSaysWhy) {
  const auto two_channels = EncodeFrame(Ramp(2, 2, 2), {.encoding = ImageEncoding::kPng});
  EXPECT_EQ(two_channels.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(two_channels.status().message(), HasSubstr("2 channels"));

  const auto torn = EncodeFrame(Frame{1, 2, 2, {0, 0, 0}}, {});
  EXPECT_EQ(torn.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(torn.status().message(), HasSubstr("[1, 2, 2] holds 3 values"));
}

}  // namespace
}  // namespace diffusiond
