#include "model/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "model/files/file_status.h"

namespace diffusiond {

absl::StatusOr<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  return OpenAt(AT_FDCWD, path.string(), path);
}

absl::StatusOr<MappedFile> MappedFile::OpenAt(int directory_fd, const std::string& name,
                                              const std::filesystem::path& shown) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int fd = openat(directory_fd, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoInFile(shown, "cannot open", errno);
  absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoInFile(shown, "cannot stat", errno);
  if (!S_ISREG(info.st_mode)) {
    return InFile(shown, absl::InvalidArgumentError("not a regular file"));
  }
  if (info.st_size == 0) return MappedFile(nullptr, 0);
  const size_t size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return ErrnoInFile(shown, "cannot map", errno);
  return MappedFile(static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::Forget(std::span<const std::byte> part) const {
  const std::less_equal<const std::byte*> not_after;  // Of any addresses.
  if (part.empty() || !not_after(data_, part.data())) return;
  if (!not_after(part.data() + part.size(), data_ + size_)) return;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = static_cast<size_t>(part.data() - data_) / page * page;
  const size_t end = static_cast<size_t>(part.data() - data_) + part.size();
  (void)madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);  // Advice.
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace diffusiond
