#include "model/imaging/exif.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "model/imaging/chunks.h"

namespace diffusiond {
namespace {

constexpr int kAsStored = 1;
constexpr std::string_view kExifHeader("Exif\0\0", 6);

// From `at` on; nothing past the end.
std::string_view From(std::string_view bytes, size_t at) {
  return bytes.substr(std::min(at, bytes.size()));
}

// EXIF is a TIFF file: a header, then where its first directory is, a count and entries of 12
// bytes: tag, type, number of values, value.
int OrientationOf(std::string_view exif) {
  if (exif.starts_with(kExifHeader)) exif.remove_prefix(kExifHeader.size());
  const bool little = exif.starts_with(std::string_view("II*\0", 4));
  if (!little && !exif.starts_with(std::string_view("MM\0*", 4))) return kAsStored;
  const ByteOrder order = little ? ByteOrder::kLittle : ByteOrder::kBig;
  if (exif.size() < 8) return kAsStored;
  std::string_view directory = From(exif, Number(exif.substr(4), 4, order));
  if (directory.size() < 2) return kAsStored;
  constexpr uint32_t kOrientation = 0x0112;
  constexpr uint32_t kShort = 3;
  constexpr size_t kEntry = 12;
  uint32_t entries = Number(directory, 2, order);
  directory.remove_prefix(2);
  for (; entries > 0 && directory.size() >= kEntry; --entries, directory.remove_prefix(kEntry)) {
    if (Number(directory, 2, order) != kOrientation) continue;
    const uint32_t value = Number(directory.substr(8), 2, order);
    const bool known = Number(directory.substr(2), 2, order) == kShort &&
                       Number(directory.substr(4), 4, order) == 1 && value >= 1 && value <= 8;
    return known ? static_cast<int>(value) : kAsStored;
  }
  return kAsStored;
}

}  // namespace

// Segments: 0xff (any number of them), a marker, a length that counts itself.
int JpegOrientation(std::string_view bytes) {
  constexpr uint8_t kFill = 0xff, kStartOfScan = 0xda, kEndOfImage = 0xd9, kApp1 = 0xe1;
  std::string_view rest = From(bytes, 2);
  while (rest.size() >= 4 && static_cast<uint8_t>(rest[0]) == kFill) {
    const uint8_t marker = static_cast<uint8_t>(rest[1]);
    if (marker == kFill) {
      rest.remove_prefix(1);
      continue;
    }
    if (marker == kStartOfScan || marker == kEndOfImage) break;
    const size_t length = Number(rest.substr(2), 2, ByteOrder::kBig);
    if (length < 2) break;
    const std::string_view content = rest.substr(2, length).substr(2);
    if (marker == kApp1 && content.starts_with(kExifHeader)) return OrientationOf(content);
    rest = From(rest, 2 + length);
  }
  return kAsStored;
}

int PngOrientation(std::string_view bytes) {
  std::string_view rest = From(bytes, kPngSignatureBytes);
  while (const std::optional<Chunk> chunk = TakePngChunk(&rest)) {
    if (chunk->type != "eXIf") continue;
    return IsIntact(*chunk) ? OrientationOf(chunk->content) : kAsStored;
  }
  return kAsStored;
}

int WebpOrientation(std::string_view bytes) {
  std::string_view rest = From(bytes, kRiffHeaderBytes);
  while (const std::optional<Chunk> chunk = TakeRiffChunk(&rest)) {
    if (chunk->type == "EXIF") return OrientationOf(chunk->content);
  }
  return kAsStored;
}

Image Upright(Image image, int orientation) {
  if (orientation <= kAsStored || orientation > 8) return image;
  const bool exchanged = orientation >= 5;
  // Whether stored columns, then rows, are counted from their ends.
  const bool from_right = orientation == 2 || orientation == 3 || orientation >= 7;
  const bool from_below =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image shown{.width = exchanged ? image.height : image.width,
              .height = exchanged ? image.width : image.height,
              .channels = image.channels,
              .pixels = std::vector<uint8_t>(image.pixels.size())};
  uint8_t* to = shown.pixels.data();
  for (int y = 0; y < shown.height; ++y) {
    for (int x = 0; x < shown.width; ++x) {
      const int column = exchanged ? y : x;
      const int row = exchanged ? x : y;
      const size_t from = size_t(from_below ? image.height - 1 - row : row) * image.width +
                          (from_right ? image.width - 1 - column : column);
      to = std::copy_n(image.pixels.data() + from * image.channels, image.channels, to);
    }
  }
  return shown;
}

}  // namespace diffusiond
