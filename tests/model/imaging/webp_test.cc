#include "model/imaging/webp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/model/imaging/codec_fixtures.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(WebpTest, KeepsEveryPixel) {
  for (const auto& [width, height] : {std::pair(1, 1), {7, 5}, {300, 1}, {64, 64}}) {
    const Image image = NoiseImage(width, height, 3);
    const auto bytes = EncodeWebpLossless(image);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const auto decoded = DecodeWebp(*bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, width);
    EXPECT_EQ(decoded->height, height);
    EXPECT_EQ(decoded->channels, 3);
    EXPECT_EQ(decoded->pixels, image.pixels);
    EXPECT_EQ(*bytes, *EncodeWebpLossless(image));
  }
}

TEST(WebpTest, GreyComesBackAsRgb) {
  const auto bytes =
      EncodeWebpLossless({.width = 2, .height = 1, .channels = 1, .pixels = {5, 250}});
  ASSERT_TRUE(bytes.ok());
  const auto decoded = DecodeWebp(*bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->channels, 3);
  EXPECT_THAT(decoded->pixels, ElementsAre(5, 5, 5, 250, 250, 250));
}

TEST(WebpTest, ReadsWhatOthersWrote) {
  const auto alpha = DecodeWebp(FromHex(kAlphaWebp));
  ASSERT_TRUE(alpha.ok()) << alpha.status();
  EXPECT_EQ(alpha->width, 3);
  EXPECT_EQ(alpha->height, 2);
  EXPECT_EQ(alpha->pixels, PixelsFromHex(kAlphaWebpPixels));

  const auto lossy = DecodeWebp(FromHex(kLossyWebp));
  ASSERT_TRUE(lossy.ok()) << lossy.status();
  const std::vector<uint8_t> expected = PixelsFromHex(kLossyWebpPixels);
  ASSERT_EQ(lossy->pixels.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LE(std::abs(lossy->pixels[i] - expected[i]), 2) << i;
  }
}

TEST(WebpTest, AnimationIsRefused) {
  const auto image = DecodeWebp(FromHex(kAnimatedWebp));
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("animated"));
}

TEST(WebpTest, EveryTruncationIsRefused) {
  for (const std::string& bytes : {*EncodeWebpLossless(NoiseImage(9, 9, 3)), FromHex(kLossyWebp)}) {
    // A file of odd length is padded; without that byte nothing is missing.
    for (size_t size = 0; size + 1 < bytes.size(); ++size) {
      const auto image = DecodeWebp(std::string_view(bytes).substr(0, size));
      ASSERT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << size;
    }
  }
}

TEST(WebpTest, SizeIsCheckedAgainstTheLimit) {
  const std::string bytes = *EncodeWebpLossless(NoiseImage(65, 2, 3));
  EXPECT_TRUE(DecodeWebp(bytes, {.max_side = 65}).ok());
  const auto refused = DecodeWebp(bytes, {.max_side = 64});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("65 x 2"));
}

TEST(WebpTest, OtherDataIsRefused) {
  EXPECT_FALSE(DecodeWebp("").ok());
  EXPECT_FALSE(DecodeWebp(FromHex(kGreyPng)).ok());
  EXPECT_EQ(EncodeWebpLossless({}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace diffusiond
