#include "model/imaging/png.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/model/imaging/codec_fixtures.h"
#include "tests/model/imaging/png_chunks.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_EQ(bytes->substr(8, 8), PngNumber(13) + "IHDR");
  // Width, height, depth 8, colour type RGB, then deflate, adaptive filters, not interlaced.
  EXPECT_EQ(bytes->substr(16, 13),
            PngNumber(20) + PngNumber(10) + std::string("\x08\x02\0\0\0", 5));
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

// Seven passes over every eighth, fourth or second pixel (the standard, 8.2).
struct Adam7Pass {
  int x, y, across, down;
};
constexpr Adam7Pass kAdam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

std::string InterlacedRows(const Image& image) {
  std::string rows;
  for (const Adam7Pass& pass : kAdam7) {
    for (int y = pass.y; y < image.height && pass.x < image.width; y += pass.down) {
      rows += '\0';  // No filter.
      for (int x = pass.x; x < image.width; x += pass.across) {
        rows += static_cast<char>(image.pixels[y * image.width + x]);
      }
    }
  }
  return rows;
}

std::string PlainRows(const Image& image) {
  std::string rows;
  for (int y = 0; y < image.height; ++y) {
    rows += '\0';
    rows.append(reinterpret_cast<const char*>(image.pixels.data()) + y * image.width, image.width);
  }
  return rows;
}

TEST(PngTest, EverySizeIsReadWholeOrRefused) {
  for (int width = 1; width <= 17; ++width) {
    for (int height = 1; height <= 17; ++height) {
      for (const bool interlaced : {false, true}) {
        SCOPED_TRACE(absl::StrCat(width, " x ", height, interlaced ? " interlaced" : ""));
        const Image image = NoiseImage(width, height, 1);
        const std::string rows = interlaced ? InterlacedRows(image) : PlainRows(image);
        const auto file = [&](const std::string& bytes) {
          return PngSignature() + PngHeader(width, height, 8, 0, interlaced) +
                 PngChunk("IDAT", Zlib(bytes)) + PngChunk("IEND", "");
        };
        const auto whole = DecodePng(file(rows));
        ASSERT_TRUE(whole.ok()) << whole.status();
        EXPECT_EQ(whole->pixels, image.pixels);
        // A well-formed stream that lacks the last byte, or everything.
        for (const size_t bytes : {rows.size() - 1, size_t{0}}) {
          EXPECT_EQ(DecodePng(file(rows.substr(0, bytes))).status().code(),
                    absl::StatusCode::kInvalidArgument);
        }
      }
    }
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
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kOutOfRange);
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
