#include "model/imaging/png.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/model/imaging/codec_fixtures.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

TEST(PngTest, KeepsEveryPixel) {
  for (const int channels : {1, 3}) {
    for (const auto& [width, height] : {std::pair(1, 1), {7, 5}, {1, 300}, {300, 1}, {64, 64}}) {
      const Image image = NoiseImage(width, height, channels);
      const auto bytes = EncodePng(image);
      ASSERT_TRUE(bytes.ok()) << bytes.status();
      const auto decoded = DecodePng(*bytes);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      EXPECT_EQ(decoded->width, width);
      EXPECT_EQ(decoded->height, height);
      EXPECT_EQ(decoded->channels, channels);
      EXPECT_EQ(decoded->pixels, image.pixels);
    }
  }
}

TEST(PngTest, WritesNothingButHeaderPixelsAndEnd) {
  const auto bytes = EncodePng(NoiseImage(20, 10, 3));
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(bytes->substr(8, 8), BigEndian(13) + "IHDR");
  // Width, height, depth 8, colour type RGB, then deflate, adaptive filters, not interlaced.
  EXPECT_EQ(bytes->substr(16, 13),
            BigEndian(20) + BigEndian(10) + std::string("\x08\x02\0\0\0", 5));
  EXPECT_EQ(bytes->substr(37, 4), "IDAT");
  EXPECT_EQ(bytes->substr(bytes->size() - 8, 4), "IEND");
  EXPECT_EQ(*bytes, *EncodePng(NoiseImage(20, 10, 3)));
}

TEST(PngTest, CompressesFlatPictures) {
  const Image flat{.width = 256,
                   .height = 256,
                   .channels = 3,
                   .pixels = std::vector<uint8_t>(256 * 256 * 3, 77)};
  EXPECT_LT(EncodePng(flat)->size(), 1000u);
  const Image gradient = GradientImage(256, 256, 3);
  EXPECT_LT(EncodePng(gradient)->size(), gradient.pixels.size() / 10);
}

struct PngCase {
  const char* name;
  const char* file;
  const char* pixels;
  int width;
  int height;
  int channels;
};

class PngFileTest : public ::testing::TestWithParam<PngCase> {};

TEST_P(PngFileTest, IsReadAsDocumented) {
  const auto image = DecodePng(FromHex(GetParam().file));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->width, GetParam().width);
  EXPECT_EQ(image->height, GetParam().height);
  EXPECT_EQ(image->channels, GetParam().channels);
  EXPECT_EQ(image->pixels, PixelsFromHex(GetParam().pixels));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, PngFileTest,
    ::testing::Values(PngCase{"Grey", kGreyPng, kGreyPngPixels, 4, 3, 1},
                      PngCase{"Bilevel", kBilevelPng, kBilevelPngPixels, 3, 2, 1},
                      PngCase{"Interlaced", kInterlacedPng, kInterlacedPngPixels, 5, 4, 3},
                      PngCase{"Palette", kPalettePng, kPalettePngPixels, 3, 2, 3},
                      PngCase{"GreyAlpha16", kGreyAlpha16Png, kGreyAlpha16PngPixels, 2, 2, 1},
                      PngCase{"Rgba", kRgbaPng, kRgbaPngPixels, 2, 2, 3}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(PngTest, EveryTruncationIsRefused) {
  const std::string bytes = *EncodePng(NoiseImage(9, 9, 3));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto image = DecodePng(std::string_view(bytes).substr(0, size));
    ASSERT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(PngTest, EveryFlippedByteOfThePixelsIsRefused) {
  const std::string bytes = *EncodePng(NoiseImage(9, 9, 3));
  const size_t end = bytes.size() - 12;  // The IEND chunk follows.
  for (size_t i = 0; i < end; ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    ASSERT_FALSE(DecodePng(damaged).ok()) << i;
  }
}

TEST(PngTest, SizeIsCheckedBeforeItIsAllocated) {
  // A header for 2^31 - 1 pixels a side, with a right checksum, and nothing behind it.
  std::string bytes = FromHex(
      "89504e470d0a1a0a0000000d49484452"
      "7fffffff7fffffff0802000000"
      "9bab9c31");
  const auto huge = DecodePng(bytes);
  EXPECT_EQ(huge.status().code(), absl::StatusCode::kInvalidArgument);

  const std::string wide = *EncodePng(NoiseImage(65, 2, 1));
  EXPECT_TRUE(DecodePng(wide, {.max_side = 65}).ok());
  const auto refused = DecodePng(wide, {.max_side = 64});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("65 x 2"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("64"));
}

TEST(PngTest, OtherDataIsRefused) {
  EXPECT_FALSE(DecodePng("").ok());
  EXPECT_FALSE(DecodePng("P5 2 2 255 abcd").ok());
  EXPECT_FALSE(DecodePng(FromHex(kGreyJpeg)).ok());
}

TEST(PngTest, EncodersRefuseAnEmptyImage) {
  EXPECT_EQ(EncodePng({}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace diffusiond
