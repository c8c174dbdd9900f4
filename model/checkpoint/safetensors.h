// The safetensors file format, both ways.
//
//   offset  size  what
//   0       8     N: length of the header, unsigned, little-endian
//   8       N     header: a JSON object in UTF-8, starting with '{', padded at the end with spaces
//   8+N     rest  data: the tensors' bytes
//
// The header maps each tensor's name to
//   {"dtype": "F32", "shape": [64, 3, 3, 3], "data_offsets": [begin, end]}
// with offsets into the data, and optionally "__metadata__" to an object of strings. Elements are
// little-endian, row-major. The tensors' byte ranges cover the data exactly: no gaps, no overlaps,
// nothing after the last. Every name occurs once.
//
// Files written here pad the header so that the data starts at a multiple of 8, and put larger
// element types first (and names in order within a type), so that each tensor is aligned.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_SAFETENSORS_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_SAFETENSORS_H_

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint/tensor_view.h"
#include "model/files/mapped_file.h"

namespace diffusiond {

// Longest header accepted: some 100,000 tensors. The largest network of this family has 450.
inline constexpr size_t kMaxSafetensorsHeaderBytes = size_t{16} << 20;

struct SafetensorsContents {
  TensorMap tensors;  // Views into the bytes that were parsed.
  std::map<std::string, std::string> metadata;
};

// Checks and parses a whole file in memory. Allocates for the header that is there, never for what
// it claims. INVALID_ARGUMENT names the tensor, what was expected and what was found.
absl::StatusOr<SafetensorsContents> ParseSafetensors(std::span<const std::byte> file);

// An open file. Move-only, thread-compatible; the views live as long as this object.
class SafetensorsFile {
 public:
  // As MappedFile::Open and ParseSafetensors; messages start with the path.
  static absl::StatusOr<SafetensorsFile> Open(const std::filesystem::path& path);

  const TensorMap& tensors() const { return contents_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return contents_.metadata; }

 private:
  SafetensorsFile(MappedFile file, SafetensorsContents contents)
      : file_(std::move(file)), contents_(std::move(contents)) {}

  MappedFile file_;
  SafetensorsContents contents_;
};

// What Python's readers want to see: they refuse files without it.
inline std::map<std::string, std::string> PyTorchMetadata() { return {{"format", "pt"}}; }

// The file's first bytes, up to the data, and the order in which the tensors' bytes follow.
struct SafetensorsLayout {
  std::string head;
  std::vector<std::span<const std::byte>> data;
};

// INVALID_ARGUMENT if a view's size is not its shape's, or a name is not UTF-8 or "__metadata__".
absl::StatusOr<SafetensorsLayout> LayOutSafetensors(
    const TensorMap& tensors, const std::map<std::string, std::string>& metadata);

// Writes a file that is whole or absent after a crash, in place of any former one.
absl::Status WriteSafetensors(
    const std::filesystem::path& path, const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata = PyTorchMetadata());

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_SAFETENSORS_H_
