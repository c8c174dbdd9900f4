// The chunks that PNG and WebP (RIFF) files are made of. Nothing is copied or inflated: views into
// the file. Free of state; any thread.
#ifndef DIFFUSIOND_MODEL_IMAGING_CHUNKS_H_
#define DIFFUSIOND_MODEL_IMAGING_CHUNKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace diffusiond {

enum class ByteOrder { kLittle, kBig };

// Integer of `size` bytes at the front of `bytes`, which has them.
uint32_t Number(std::string_view bytes, size_t size, ByteOrder order);
// Its lowest `size` bytes.
std::string NumberBytes(uint32_t value, size_t size, ByteOrder order);

struct Chunk {
  std::string_view type;     // Four letters.
  std::string_view content;  // Without length, checksum and padding.
  std::string_view bytes;    // With them.
};

inline constexpr size_t kPngSignatureBytes = 8;
inline constexpr size_t kRiffHeaderBytes = 12;  // "RIFF", a length, "WEBP".

// Takes the chunk at the front of `rest`, what follows the signature or header of the file.
// Nothing: no whole chunk is there.
std::optional<Chunk> TakePngChunk(std::string_view* rest);
// Likewise, but that a chunk which the file's end cuts short is given as far as it is there.
std::optional<Chunk> TakeRiffChunk(std::string_view* rest);

// Whether the CRC-32 of a PNG's chunk is that of its type and content.
bool IsIntact(const Chunk& png_chunk);

// Chunks as they are written. `type` has four letters.
std::string PngChunkBytes(std::string_view type, std::string_view content);
std::string RiffChunkBytes(std::string_view type, std::string_view content);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_CHUNKS_H_
