// What a PNG may make libpng inflate: its pixels and no more, however much its file holds beside
// them.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "model/imaging/png.h"
#include "tests/model/imaging/png_chunks.h"
#include "tests/testing/counted_inflate.h"

namespace diffusiond {
namespace {

constexpr int kSide = 16;
constexpr int64_t kPixelBytes = kSide * (kSide + 1);  // A filter byte and 16 grey pixels a row.
// A hundred times the picture, a fiftieth of what the compressed chunks below hold.
constexpr int64_t kAllowedBytes = 100 * kPixelBytes;
constexpr int kBombBytes = 1'500'000;

std::string Picture(std::string_view before_pixels, std::string_view idat) {
  return PngSignature() +
         PngHeader(kSide, kSide, /*depth=*/8, /*color_type=*/0,
                   /*interlaced=*/false) +
         std::string(before_pixels) + PngChunk("IDAT", idat) + PngChunk("IEND", "");
}

std::string Pixels() { return std::string(kPixelBytes, '\0'); }

int64_t BytesInflatedFor(const std::string& png) {
  const int64_t before = InflatedBytes();
  const auto image = DecodePng(png);
  EXPECT_TRUE(image.ok()) << image.status();
  if (image.ok()) {
    EXPECT_EQ(image->pixels, std::vector<uint8_t>(kSide * kSide, 0));
  }
  return InflatedBytes() - before;
}

TEST(InflatedBytesTest, ArePixels) {
  EXPECT_EQ(BytesInflatedFor(Picture("", Zlib(Pixels()))), kPixelBytes);
}

TEST(InflatedBytesTest, OfTextsAndProfilesAreNone) {
  const std::string bomb = Zlib(std::string(kBombBytes, '\0'));
  const struct {
    const char* type;
    std::string content;
  } chunks[] = {
      {"zTXt", std::string("k\0\0", 3) + bomb},
      {"iTXt", std::string("k\0\1\0\0\0", 6) + bomb},
      {"iCCP", std::string("k\0\0", 3) + bomb},
  };
  for (const auto& [type, content] : chunks) {
    SCOPED_TRACE(type);
    std::string ancillary;
    for (int i = 0; i < 10; ++i) ancillary += PngChunk(type, content);
    EXPECT_EQ(BytesInflatedFor(Picture(ancillary, Zlib(Pixels()))), kPixelBytes);
  }
}

TEST(InflatedBytesTest, EndWithTheLastRow) {
  const std::string idat = Zlib(Pixels() + std::string(kBombBytes, '\0'));
  EXPECT_LE(BytesInflatedFor(Picture("", idat)), kAllowedBytes);
  // Also where the rest comes in chunks of its own.
  const size_t half = idat.size() / 2;
  const std::string split = PngSignature() +
                            PngHeader(kSide, kSide, /*depth=*/8, /*color_type=*/0,
                                      /*interlaced=*/false) +
                            PngChunk("IDAT", idat.substr(0, half)) +
                            PngChunk("IDAT", idat.substr(half)) + PngChunk("IEND", "");
  EXPECT_LE(BytesInflatedFor(split), kAllowedBytes);
}

}  // namespace
}  // namespace diffusiond
