#include "model/imaging/exif.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/imaging/decode.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/webp.h"
#include "tests/model/imaging/png_chunks.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAreArray;

std::string Bytes(uint64_t value, int size, bool big) {
  std::string bytes;
  for (int i = 0; i < size; ++i) {
    bytes.push_back(static_cast<char>(value >> 8 * (big ? size - 1 - i : i)));
  }
  return bytes;
}

std::string Entry(int tag, int type, uint32_t count, uint32_t value, bool big) {
  std::string bytes = Bytes(tag, 2, big) + Bytes(type, 2, big) + Bytes(count, 4, big);
  return bytes + (type == 3 ? Bytes(value, 2, big) + "??" : Bytes(value, 4, big));
}

// An ASCII field before it, as cameras write their name.
std::string Tiff(int orientation, bool big = true) {
  return (big ? std::string("MM\0*", 4) : std::string("II*\0", 4)) + Bytes(8, 4, big) +
         Bytes(2, 2, big) + Entry(0x010f, 2, 4, 0x41414100, big) +
         Entry(0x0112, 3, 1, orientation, big) + Bytes(0, 4, big);
}

std::string Segment(std::string_view content) {
  return "\xff\xe1" + Bytes(content.size() + 2, 2, /*big=*/true) + std::string(content);
}

const std::string kHeader("Exif\0\0", 6);

// After the start of the image and JFIF's segment, where cameras have it.
std::string JpegWith(const Image& image, const std::string& segments) {
  std::string bytes = *EncodeJpeg(image, 100);
  const size_t jfif = 4 + uint8_t(bytes[4]) * 256 + uint8_t(bytes[5]);
  return bytes.insert(jfif, segments);
}

std::string PngWith(const std::string& chunks) {
  const std::string rows("\0ab\0cd\0ef", 9);
  return PngSignature() + PngHeader(2, 3, 8, 0, false) + chunks + PngChunk("IDAT", Zlib(rows)) +
         PngChunk("IEND", "");
}

std::string RiffChunk(const std::string& type, const std::string& content) {
  return type + Bytes(content.size(), 4, false) + content + (content.size() % 2 ? "?" : "");
}

std::string WebpWith(const Image& image, const std::string& chunks) {
  const std::string plain = *EncodeWebpLossless(image);
  const std::string features = std::string("\x08\0\0\0", 4) + Bytes(image.width - 1, 3, false) +
                               Bytes(image.height - 1, 3, false);
  const std::string content = "WEBP" + RiffChunk("VP8X", features) + plain.substr(12) + chunks;
  return "RIFF" + Bytes(content.size(), 4, false) + content;
}

struct Turn {
  int orientation;
  int width;
  std::vector<uint8_t> pixels;
};

// What is stored: rows ab, cd, ef.
std::vector<Turn> Turns() {
  return {{1, 2, {'a', 'b', 'c', 'd', 'e', 'f'}}, {2, 2, {'b', 'a', 'd', 'c', 'f', 'e'}},
          {3, 2, {'f', 'e', 'd', 'c', 'b', 'a'}}, {4, 2, {'e', 'f', 'c', 'd', 'a', 'b'}},
          {5, 3, {'a', 'c', 'e', 'b', 'd', 'f'}}, {6, 3, {'e', 'c', 'a', 'f', 'd', 'b'}},
          {7, 3, {'f', 'd', 'b', 'e', 'c', 'a'}}, {8, 3, {'b', 'd', 'f', 'a', 'c', 'e'}}};
}

TEST(ExifTest, PngIsTurnedAllEightWays) {
  for (const Turn& turn : Turns()) {
    for (const bool big : {false, true}) {
      SCOPED_TRACE(turn.orientation);
      const auto image = DecodeImage(PngWith(PngChunk("eXIf", Tiff(turn.orientation, big))));
      ASSERT_TRUE(image.ok()) << image.status();
      EXPECT_EQ(image->width, turn.width);
      EXPECT_EQ(image->height, 6 / turn.width);
      EXPECT_THAT(image->pixels, ElementsAreArray(turn.pixels));
    }
  }
}

TEST(ExifTest, JpegAndWebpAreTurnedAsPngIs) {
  const Image stored = GradientImage(16, 8, 3);
  const Image jpeg = *DecodeJpeg(JpegWith(stored, ""));
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const std::string exif = kHeader + Tiff(orientation);
    const auto from_jpeg = DecodeImage(JpegWith(stored, Segment(exif)));
    ASSERT_TRUE(from_jpeg.ok()) << from_jpeg.status();
    EXPECT_EQ(from_jpeg->width, orientation < 5 ? 16 : 8);
    EXPECT_EQ(from_jpeg->pixels, Upright(jpeg, orientation).pixels);
    // With the header of JPEG's segment, as some write it, and without.
    for (const std::string& content : {exif, Tiff(orientation)}) {
      const auto webp = DecodeImage(WebpWith(stored, RiffChunk("EXIF", content)));
      ASSERT_TRUE(webp.ok()) << webp.status();
      EXPECT_EQ(webp->width, orientation < 5 ? 16 : 8);
      EXPECT_EQ(webp->pixels, Upright(stored, orientation).pixels);
    }
  }
}

TEST(ExifTest, ColourAndAlphaAreTurnedWithTheirPixels) {
  const std::string rgba = {0, 'a', 'b', 'c', -1, 'd', 'e', 'f', -1};
  const auto image =
      DecodeImage(PngSignature() + PngHeader(2, 1, 8, 6, false) + PngChunk("IDAT", Zlib(rgba)) +
                  PngChunk("eXIf", Tiff(6)) + PngChunk("IEND", ""));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->height, 2);
  EXPECT_THAT(image->pixels, ElementsAreArray({'a', 'b', 'c', 'd', 'e', 'f'}));
}

TEST(ExifTest, OtherSegmentsBeforeItArePassedOver) {
  const std::string xmp = Segment("http://ns.adobe.com/xap/1.0/ ...");
  const std::string fill = "\xff\xff\xff";
  EXPECT_EQ(
      JpegOrientation(JpegWith(GradientImage(16, 8, 1), xmp + fill + Segment(kHeader + Tiff(6)))),
      6);
}

// What is wrong with it, and the EXIF.
std::vector<std::pair<const char*, std::string>> Damaged() {
  const bool big = true;
  const std::string start = std::string("MM\0*", 4) + Bytes(8, 4, big);
  const std::string many = start + Bytes(0xffff, 2, big);
  std::string far = Tiff(6);
  far.replace(4, 4, "\xff\xff\xff\xff");
  std::string itself = Tiff(6);
  itself.replace(4, 4, std::string("\0\0\0\0", 4));
  std::string order = Tiff(6);
  order[0] = 'X';
  return {{"nothing", ""},
          {"no directory", start},
          {"the directory is far outside", far},
          {"the directory is the header", itself},
          {"no byte order", order},
          {"65,535 entries of which none is there", many},
          {"65,535 entries, one there", many + Entry(0x010f, 2, 4, 0, big)},
          {"value 0", Tiff(0)},
          {"value 9", Tiff(9)},
          {"four thousand million values",
           start + Bytes(1, 2, big) + Entry(0x0112, 3, 0xffffffff, 6, big)},
          {"of another type", start + Bytes(1, 2, big) + Entry(0x0112, 2, 1, 6 << 16, big)}};
}

TEST(ExifTest, DamagedExifLeavesThePictureAsStored) {
  const Image stored = GradientImage(16, 8, 3);
  for (const auto& [what, exif] : Damaged()) {
    SCOPED_TRACE(what);
    for (const std::string& bytes :
         {JpegWith(stored, Segment(kHeader + exif)), WebpWith(stored, RiffChunk("EXIF", exif)),
          PngWith(PngChunk("eXIf", exif))}) {
      const auto image = DecodeImage(bytes);
      ASSERT_TRUE(image.ok()) << image.status();
      EXPECT_EQ(image->width, bytes[1] == 'P' ? 2 : 16);
    }
  }
  std::string chunk = PngChunk("eXIf", Tiff(6));
  chunk.back() ^= 1;
  EXPECT_EQ(PngOrientation(PngWith(chunk)), 1) << "its checksum is wrong";
}

TEST(ExifTest, CutAnywhereItIsReadOrPassedOver) {
  const std::string exif = Tiff(6);
  const Image stored = GradientImage(16, 8, 3);
  for (const std::string& whole :
       {JpegWith(stored, Segment(kHeader + exif)), PngWith(PngChunk("eXIf", exif)),
        WebpWith(stored, RiffChunk("EXIF", exif))}) {
    for (size_t size = 0; size <= whole.size(); ++size) {
      const std::string cut = whole.substr(0, size);
      for (const int orientation :
           {JpegOrientation(cut), PngOrientation(cut), WebpOrientation(cut)}) {
        EXPECT_TRUE(orientation == 1 || orientation == 6) << size;
      }
    }
  }
}

}  // namespace
}  // namespace diffusiond
