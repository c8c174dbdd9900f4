#include "model/imaging/jpeg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// jpeglib.h needs FILE and size_t to be declared before it.
#include <cstddef>
#include <cstdio>

#include <jpeglib.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>

#include "tests/model/imaging/codec_fixtures.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

int LargestDifference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  if (a.size() != b.size()) return 256;
  int largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

TEST(JpegTest, KeepsASmoothPictureNearlyAsItIs) {
  for (const int channels : {1, 3}) {
    const Image image = GradientImage(33, 17, channels);
    const auto bytes = EncodeJpeg(image, 95);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const auto decoded = DecodeJpeg(*bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, 33);
    EXPECT_EQ(decoded->height, 17);
    EXPECT_EQ(decoded->channels, channels);
    EXPECT_LE(LargestDifference(decoded->pixels, image.pixels), 4);
    EXPECT_EQ(*bytes, *EncodeJpeg(image, 95));
  }
}

TEST(JpegTest, ColourKeepsItsFullResolution) {
  // Red and blue columns by turns: with halved colour they would come back purple.
  Image image{.width = 16, .height = 16, .channels = 3, .pixels = {}};
  for (int i = 0; i < 256; ++i) {
    const uint8_t red = i % 2 == 0 ? 200 : 50;
    image.pixels.insert(image.pixels.end(), {red, 60, static_cast<uint8_t>(250 - red)});
  }
  const auto decoded = DecodeJpeg(*EncodeJpeg(image, 100));
  ASSERT_TRUE(decoded.ok());
  EXPECT_LE(LargestDifference(decoded->pixels, image.pixels), 6);
}

TEST(JpegTest, LowerQualityIsSmaller) {
  const Image image = NoiseImage(64, 64, 3);
  EXPECT_LT(EncodeJpeg(image, 30)->size(), EncodeJpeg(image, 90)->size());
}

TEST(JpegTest, ReadsWhatOthersWrote) {
  const auto grey = DecodeJpeg(FromHex(kGreyJpeg));
  ASSERT_TRUE(grey.ok()) << grey.status();
  EXPECT_EQ(grey->channels, 1);
  EXPECT_LE(LargestDifference(grey->pixels, PixelsFromHex(kGreyJpegPixels)), 2);

  const auto colour = DecodeJpeg(FromHex(kProgressiveJpeg));
  ASSERT_TRUE(colour.ok()) << colour.status();
  EXPECT_EQ(colour->width, 12);
  EXPECT_EQ(colour->height, 10);
  EXPECT_EQ(colour->channels, 3);
  EXPECT_LE(LargestDifference(colour->pixels, PixelsFromHex(kProgressiveJpegPixels)), 2);
}

// 8 x 8 pixels as libjpeg itself writes them, of so many samples each; `choose` sets what our
// encoder has no choice of.
std::string JpegOf(std::vector<uint8_t> pixels, J_COLOR_SPACE space,
                   const std::function<void(jpeg_compress_struct&)>& choose) {
  constexpr int kSide = 8;
  jpeg_compress_struct codec;
  jpeg_error_mgr errors;
  codec.err = jpeg_std_error(&errors);
  jpeg_create_compress(&codec);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(runtime/int): libjpeg's type.
  jpeg_mem_dest(&codec, &bytes, &size);
  codec.image_width = codec.image_height = kSide;
  codec.input_components = static_cast<int>(pixels.size()) / (kSide * kSide);
  codec.in_color_space = space;
  jpeg_set_defaults(&codec);
  choose(codec);
  jpeg_start_compress(&codec, TRUE);
  for (size_t y = 0; y < kSide; ++y) {
    JSAMPROW row = &pixels[y * pixels.size() / kSide];
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  std::string result(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return result;
}

// Of one colour, as stored.
std::string CmykJpeg(const std::vector<uint8_t>& samples, J_COLOR_SPACE stored, bool adobe) {
  std::vector<uint8_t> pixels;
  for (int i = 0; i < 64; ++i) pixels.insert(pixels.end(), samples.begin(), samples.end());
  return JpegOf(std::move(pixels), JCS_CMYK, [&](jpeg_compress_struct& codec) {
    jpeg_set_colorspace(&codec, stored);
    jpeg_set_quality(&codec, 100, TRUE);
    codec.write_Adobe_marker = adobe ? TRUE : FALSE;
  });
}

TEST(JpegTest, CmykAndYcckBecomeRgb) {
  // What is left of white: 200 of 255 in red, 100 in green, 255 in blue; of that, half.
  const std::vector<uint8_t> left = {200, 100, 255, 128};
  const std::vector<uint8_t> ink = {55, 155, 0, 127};
  for (const std::string& bytes : {CmykJpeg(left, JCS_CMYK, true), CmykJpeg(left, JCS_YCCK, true),
                                   CmykJpeg(ink, JCS_CMYK, false)}) {
    const auto image = DecodeJpeg(bytes);
    ASSERT_TRUE(image.ok()) << image.status();
    ASSERT_EQ(image->channels, 3);
    EXPECT_NEAR(image->pixels[0], 100, 3);
    EXPECT_NEAR(image->pixels[1], 50, 3);
    EXPECT_NEAR(image->pixels[2], 128, 3);
    EXPECT_NEAR(image->pixels.back(), 128, 3);
  }
  const auto from_pillow = DecodeJpeg(FromHex(kCmykJpeg));
  ASSERT_TRUE(from_pillow.ok()) << from_pillow.status();
  EXPECT_TRUE(CheckImage(*from_pillow).ok());
}

TEST(JpegTest, StrayBytesBetweenSegmentsAreHarmless) {
  const std::string bytes = *EncodeJpeg(GradientImage(16, 8, 3), 95);
  const size_t tables = bytes.find("\xff\xdb");
  std::string stray = bytes;
  stray.insert(tables, "stray");
  const auto image = DecodeJpeg(stray);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->pixels, DecodeJpeg(bytes)->pixels);
}

TEST(JpegTest, TruncatedDataIsAnErrorNotAGreyHalf) {
  for (const std::string& bytes :
       {*EncodeJpeg(NoiseImage(40, 40, 3), 90), FromHex(kProgressiveJpeg)}) {
    // All but the end marker's two bytes: the picture would be whole, yet the file is not.
    for (size_t size = 0; size + 1 < bytes.size(); ++size) {
      const auto image = DecodeJpeg(std::string_view(bytes).substr(0, size));
      ASSERT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << size;
    }
  }
}

TEST(JpegTest, SizeIsCheckedBeforeItIsAllocated) {
  std::string bytes = *EncodeJpeg(NoiseImage(8, 8, 1), 90);
  const size_t frame = bytes.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  bytes.replace(frame + 5, 4, "\xff\xdc\xff\xdc");  // 65,500 x 65,500.
  const auto image = DecodeJpeg(bytes);
  EXPECT_EQ(image.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("65500 x 65500"));
}

// A grey progressive picture, each coefficient sent alone and then refined three times.
std::string JpegOfManyScans() {
  std::vector<jpeg_scan_info> scans = {{1, {0}, 0, 0, 0, 0}};
  for (int k = 1; k < 64; ++k) {
    scans.push_back({1, {0}, k, k, 0, 3});
    for (int bit = 3; bit > 0; --bit) scans.push_back({1, {0}, k, k, bit, bit - 1});
  }
  return JpegOf(NoiseImage(8, 8, 1).pixels, JCS_GRAYSCALE, [&scans](jpeg_compress_struct& codec) {
    codec.scan_info = scans.data();
    codec.num_scans = static_cast<int>(scans.size());
  });
}

TEST(JpegTest, TooManyScansAreRefused) {
  const auto image = DecodeJpeg(JpegOfManyScans());
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("200 scans"));
}

TEST(JpegTest, WrongQualityOrImageIsRefused) {
  for (const int quality : {-1, 0, 101}) {
    EXPECT_EQ(EncodeJpeg(NoiseImage(8, 8, 1), quality).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(EncodeJpeg({}, 90).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(JpegTest, OtherDataIsRefused) {
  EXPECT_FALSE(DecodeJpeg("").ok());
  EXPECT_FALSE(DecodeJpeg("not a picture at all").ok());
  EXPECT_FALSE(DecodeJpeg(FromHex(kGreyPng)).ok());
}

}  // namespace
}  // namespace diffusiond
