#include "server/access/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"

namespace diffusiond {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  // Without O_NONBLOCK a pipe would be waited for until somebody writes to it.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return ErrnoInFile(path, "cannot be opened", errno);
  const absl::Cleanup closer = [descriptor] { close(descriptor); };
  struct stat status = {};
  if (fstat(descriptor, &status) != 0) return ErrnoInFile(path, "cannot be read", errno);
  if (!S_ISREG(status.st_mode)) {
    return InFile(path, absl::InvalidArgumentError("is no regular file"));
  }
  std::string text(kMaxAccessFileBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = read(descriptor, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoInFile(path, "cannot be read", errno);
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > kMaxAccessFileBytes) {
    return InFile(path, absl::InvalidArgumentError(absl::StrCat(
                            "has more than the ", kMaxAccessFileBytes, " bytes that are read")));
  }
  text.resize(size);
  return text;
}

}  // namespace diffusiond
