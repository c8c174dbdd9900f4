#include "client/picture_codec.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/webp.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Image Encoded(v1::ImageFormat format, std::string data, uint32_t width, uint32_t height) {
  v1::Image message;
  message.set_format(format);
  message.set_data(std::move(data));
  message.set_width(width);
  message.set_height(height);
  return message;
}

std::string RawBytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

const Image kGrey{2, 1, 1, {0, 255}};

TEST(DecodePictureTest, TakesEveryFormat) {
  EXPECT_EQ(DecodePicture(Encoded(v1::IMAGE_FORMAT_PNG, EncodePng(kGrey).value(), 2, 1))->pixels,
            kGrey.pixels);
  EXPECT_THAT(DecodePicture(Encoded(v1::IMAGE_FORMAT_WEBP, EncodeWebpLossless(kGrey).value(), 2, 1))
                  ->pixels,
              ElementsAre(0, 0, 0, 255, 255, 255));
  EXPECT_TRUE(
      DecodePicture(Encoded(v1::IMAGE_FORMAT_JPEG, EncodeJpeg(kGrey, 95).value(), 2, 1)).ok());
  EXPECT_THAT(DecodePicture(Encoded(v1::IMAGE_FORMAT_RAW_FLOAT32, RawBytes({-1, 1}), 2, 1))->pixels,
              ElementsAre(0, 255));
}

TEST(DecodePictureTest, ReadsRawPlanesAsColors) {
  const auto image =
      DecodePicture(Encoded(v1::IMAGE_FORMAT_RAW_FLOAT32, RawBytes({-1, 1, 1, -1, -1, -1}), 2, 1));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_THAT(image->pixels, ElementsAre(0, 255, 0, 255, 0, 0));
}

TEST(DecodePictureTest, RefusesRawBytesOfAnotherSize) {
  for (const uint32_t width : {0u, 3u, 4000000000u}) {
    EXPECT_FALSE(
        DecodePicture(Encoded(v1::IMAGE_FORMAT_RAW_FLOAT32, RawBytes({-1, 1}), width, 1)).ok());
  }
}

TEST(DecodePictureTest, RefusesASizeThatWasNotAnnounced) {
  const auto image = DecodePicture(Encoded(v1::IMAGE_FORMAT_PNG, EncodePng(kGrey).value(), 2, 2));
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("2 x 1, announced as 2 x 2"));
}

TEST(ParseFormatTest, TakesNamesAndExtensions) {
  EXPECT_EQ(ParseFormat("PNG").value(), v1::IMAGE_FORMAT_PNG);
  EXPECT_EQ(ParseFormat("jpg").value(), v1::IMAGE_FORMAT_JPEG);
  EXPECT_EQ(ParseFormat("raw").value(), v1::IMAGE_FORMAT_RAW_FLOAT32);
  EXPECT_THAT(std::string(ParseFormat("gif").status().message()), HasSubstr("'gif'"));
}

}  // namespace
}  // namespace diffusiond
