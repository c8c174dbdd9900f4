#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/imaging/decode.h"
#include "model/imaging/jpeg.h"
#include "tests/model/imaging/codec_fixtures.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

std::string Refusal(const std::string& bytes, const DecodeLimits& limits = {}) {
  const auto image = DecodeTransparency(bytes, limits);
  return image.ok() ? "" : std::string(image.status().message());
}

TEST(TransparencyTest, IsWhatAlphaLeaves) {
  // The palette's alphas are 255, 128, 0, and 255 for want of one.
  const auto image = DecodeTransparency(FromHex(kPalettePng));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->width, 3);
  EXPECT_EQ(image->height, 2);
  EXPECT_EQ(image->channels, 1);
  EXPECT_EQ(image->pixels, (std::vector<uint8_t>{0, 127, 255, 0, 255, 127}));
}

TEST(TransparencyTest, OfAWebpFitsItsPicture) {
  const auto colours = DecodeImage(FromHex(kAlphaWebp));
  const auto image = DecodeTransparency(FromHex(kAlphaWebp));
  ASSERT_TRUE(colours.ok() && image.ok()) << image.status();
  EXPECT_EQ(image->channels, 1);
  ASSERT_EQ(image->pixels.size() * 3, colours->pixels.size());
  // What is wholly transparent is as white as what it is laid on; what is not is not all white.
  size_t clear = 0;
  for (size_t i = 0; i < image->pixels.size(); ++i) {
    if (image->pixels[i] != 255) continue;
    ++clear;
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(colours->pixels[3 * i + c], 255);
  }
  EXPECT_GT(clear, 0u);
  EXPECT_LT(clear, image->pixels.size());
}

TEST(TransparencyTest, IsRefusedWhereThereIsNoAlpha) {
  EXPECT_EQ(Refusal(FromHex(kGreyPng)), "PNG has no alpha: no part of it is transparent");
  EXPECT_EQ(Refusal(EncodeJpeg(NoiseImage(4, 4, 3), 90).value()),
            "JPEG has no alpha: no part of it is transparent");
  EXPECT_EQ(Refusal("GIF89a and more of it"), "picture is GIF, expected PNG, JPEG or WebP");
  EXPECT_EQ(Refusal("nonsense"), "picture is neither PNG, JPEG nor WebP");
  EXPECT_NE(Refusal(FromHex(kPalettePng), {.max_side = 2}), "");
}

}  // namespace
}  // namespace diffusiond
