#include "model/imaging/chunks.h"

#include <zlib.h>

#include <algorithm>

namespace diffusiond {
namespace {

// Length, type, content, CRC-32.
constexpr size_t kAroundPngContent = 12;
// Type, length, content, which an odd length pads with a byte.
constexpr size_t kBeforeRiffContent = 8;

uint32_t Checksum(std::string_view type_and_content) {
  return static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(type_and_content.data()),
                                     static_cast<uInt>(type_and_content.size())));
}

}  // namespace

uint32_t Number(std::string_view bytes, size_t size, ByteOrder order) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    const size_t at = order == ByteOrder::kBig ? i : size - 1 - i;
    value = value << 8 | static_cast<uint8_t>(bytes[at]);
  }
  return value;
}

std::string NumberBytes(uint32_t value, size_t size, ByteOrder order) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) {
    const size_t at = order == ByteOrder::kBig ? size - 1 - i : i;
    bytes[at] = static_cast<char>(value >> 8 * i);
  }
  return bytes;
}

std::optional<Chunk> TakePngChunk(std::string_view* rest) {
  if (rest->size() < kAroundPngContent) return std::nullopt;
  const size_t length = Number(*rest, 4, ByteOrder::kBig);
  if (length > rest->size() - kAroundPngContent) return std::nullopt;
  const Chunk chunk{.type = rest->substr(4, 4),
                    .content = rest->substr(8, length),
                    .bytes = rest->substr(0, kAroundPngContent + length)};
  rest->remove_prefix(chunk.bytes.size());
  return chunk;
}

std::optional<Chunk> TakeRiffChunk(std::string_view* rest) {
  if (rest->size() < kBeforeRiffContent) return std::nullopt;
  const size_t length = Number(rest->substr(4), 4, ByteOrder::kLittle);
  const Chunk chunk{.type = rest->substr(0, 4),
                    .content = rest->substr(kBeforeRiffContent, length),
                    .bytes = rest->substr(0, kBeforeRiffContent + length + length % 2)};
  rest->remove_prefix(chunk.bytes.size());
  return chunk;
}

bool IsIntact(const Chunk& png_chunk) {
  const std::string_view checked = png_chunk.bytes.substr(4, 4 + png_chunk.content.size());
  return Checksum(checked) ==
         Number(png_chunk.bytes.substr(4 + checked.size()), 4, ByteOrder::kBig);
}

std::string PngChunkBytes(std::string_view type, std::string_view content) {
  std::string bytes = NumberBytes(static_cast<uint32_t>(content.size()), 4, ByteOrder::kBig);
  bytes.append(type).append(content);
  return bytes + NumberBytes(Checksum(std::string_view(bytes).substr(4)), 4, ByteOrder::kBig);
}

std::string RiffChunkBytes(std::string_view type, std::string_view content) {
  std::string bytes(type);
  bytes += NumberBytes(static_cast<uint32_t>(content.size()), 4, ByteOrder::kLittle);
  bytes.append(content);
  if (content.size() % 2 != 0) bytes.push_back('\0');
  return bytes;
}

}  // namespace diffusiond
