// PNG files put together chunk by chunk, for what no encoder writes.
#ifndef DIFFUSIOND_TESTS_MODEL_IMAGING_PNG_CHUNKS_H_
#define DIFFUSIOND_TESTS_MODEL_IMAGING_PNG_CHUNKS_H_

#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace diffusiond {

inline std::string PngNumber(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

inline std::string PngSignature() { return "\x89PNG\r\n\x1a\n"; }

// `type` has four letters.
inline std::string PngChunk(std::string_view type, std::string_view content) {
  const std::string checked = std::string(type) + std::string(content);
  const uLong checksum =
      crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
  return PngNumber(static_cast<uint32_t>(content.size())) + checked +
         PngNumber(static_cast<uint32_t>(checksum));
}

// color_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
inline std::string PngHeader(int width, int height, int depth, int color_type, bool interlaced) {
  return PngChunk("IHDR", PngNumber(width) + PngNumber(height) +
                              std::string{static_cast<char>(depth), static_cast<char>(color_type),
                                          '\0', '\0', static_cast<char>(interlaced)});
}

inline std::string Zlib(std::string_view bytes) {
  uLongf size = compressBound(bytes.size());
  std::string compressed(size, '\0');
  compress2(reinterpret_cast<Bytef*>(compressed.data()), &size,
            reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), Z_BEST_COMPRESSION);
  compressed.resize(size);
  return compressed;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_IMAGING_PNG_CHUNKS_H_
