// A file's bytes, read-only and mapped: opening allocates nothing, whatever the file's size.
#ifndef DIFFUSIOND_MODEL_FILES_MAPPED_FILE_H_
#define DIFFUSIOND_MODEL_FILES_MAPPED_FILE_H_

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// Move-only; the bytes stay where they are when it moves. Thread-compatible, reads are thread-safe.
//
// The file must not be shortened in place while it is mapped (the kernel answers reads past the new
// end with SIGBUS). Whoever replaces a checkpoint writes a new file and renames it, as
// SaveCheckpoint and WriteSafetensors do; that leaves mappings of the old one intact.
class MappedFile {
 public:
  // NOT_FOUND; PERMISSION_DENIED; INVALID_ARGUMENT if it is not a regular file. Symbolic links are
  // followed: the Hugging Face cache consists of them.
  static absl::StatusOr<MappedFile> Open(const std::filesystem::path& path);

  // The same, `name` being relative to an open directory, so that several files come from one
  // directory even if another takes its path meanwhile. `shown` is what messages call the file.
  static absl::StatusOr<MappedFile> OpenAt(int directory_fd, const std::string& name,
                                           const std::filesystem::path& shown);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Of a part that has been read: its pages may leave memory. Whoever reads it again gets them from
  // the file. Nothing for bytes that are not the file's.
  void Forget(std::span<const std::byte> part) const;

  absl::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}

  const std::byte* data_ = nullptr;  // Null for an empty file, which cannot be mapped.
  size_t size_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_FILES_MAPPED_FILE_H_
