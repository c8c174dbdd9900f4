#include "client/input_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace diffusiond {

absl::StatusOr<std::string> ReadInputFile(const std::string& path, size_t max_bytes) {
  const auto failed = [&path] {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed();
  std::string bytes, chunk(64 << 10, '\0');
  absl::Status status;
  for (;;) {
    const ssize_t count = read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) status = failed();
    if (count <= 0) break;
    bytes.append(chunk, 0, static_cast<size_t>(count));
    if (bytes.size() <= max_bytes) continue;
    status = absl::InvalidArgumentError(
        absl::StrCat(path, " has more than ", max_bytes, " bytes: what is wanted has not"));
    break;
  }
  close(fd);
  if (!status.ok()) return status;
  if (bytes.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " is empty"));
  return bytes;
}

}  // namespace diffusiond
