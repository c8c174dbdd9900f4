#include "model/files/durable_write.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "model/files/file_status.h"

namespace diffusiond {
namespace {

// Linux writes at most this much in one call.
constexpr size_t kMaxWriteBytes = 0x7ffff000;

absl::Status WriteAll(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), std::min(bytes.size(), kMaxWriteBytes));
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoInFile(path, "cannot write", errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

std::span<const std::byte> AsBytes(absl::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

absl::Status WriteNewFile(const std::filesystem::path& path,
                          std::span<const std::span<const std::byte>> pieces) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return ErrnoInFile(path, "cannot create", errno);
  absl::Status status;
  for (std::span<const std::byte> piece : pieces) {
    status = WriteAll(fd, piece, path);
    if (!status.ok()) break;
  }
  if (status.ok() && fsync(fd) != 0) status = ErrnoInFile(path, "cannot fsync", errno);
  if (close(fd) != 0 && status.ok()) status = ErrnoInFile(path, "cannot close", errno);
  return status;
}

absl::Status WriteNewFile(const std::filesystem::path& path, absl::string_view text) {
  const std::span<const std::byte> piece = AsBytes(text);
  return WriteNewFile(path, std::span(&piece, 1));
}

absl::Status ReplaceFile(const std::filesystem::path& path,
                         std::span<const std::span<const std::byte>> pieces) {
  const std::filesystem::path temporary = TemporarySibling(path);
  absl::Status status = WriteNewFile(temporary, pieces);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoInFile(path, absl::StrCat("cannot rename ", temporary.string()), errno);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(ParentDirectory(path));
}

absl::Status ReplaceFile(const std::filesystem::path& path, absl::string_view text) {
  const std::span<const std::byte> piece = AsBytes(text);
  return ReplaceFile(path, std::span(&piece, 1));
}

absl::Status SyncDirectory(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoInFile(path, "cannot open", errno);
  absl::Status status;
  if (fsync(fd) != 0) status = ErrnoInFile(path, "cannot fsync", errno);
  close(fd);
  return status;
}

std::filesystem::path TemporarySibling(const std::filesystem::path& path) {
  static std::atomic<uint64_t> counter = 0;
  std::filesystem::path clean = path.lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();  // "a/b/" is a/b.
  // The process id alone comes again after a crash, or in another container on the same volume.
  return ParentDirectory(clean) / absl::StrCat(".", clean.filename().string(), ".tmp-", getpid(),
                                               "-", absl::GetCurrentTimeNanos(), "-", counter++);
}

std::filesystem::path ParentDirectory(const std::filesystem::path& path) {
  std::filesystem::path clean = path.lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  return clean.has_parent_path() ? clean.parent_path() : std::filesystem::path(".");
}

}  // namespace diffusiond
