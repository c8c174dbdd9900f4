#include "model/process/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace diffusiond {

void OpenStandardStreams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // open takes the lowest free number: this one, as those below are open by now.
    if (fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) open("/dev/null", O_RDWR);
  }
}

int FinishStandardOutput(const char* program, int status) {
  errno = 0;
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  const int error = errno;
  if (status != 0 || (flushed && std::cout.good() && std::ferror(stdout) == 0)) return status;
  std::fprintf(stderr, "%s: standard output did not take all that was printed%s%s\n", program,
               error != 0 ? ": " : "", error != 0 ? std::strerror(error) : "");
  return 1;
}

std::string Stamped(absl::string_view text, const char* level, int descriptor, absl::Time now) {
  if (isatty(descriptor) == 1) return std::string(text);
  const std::string stamp =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ ", now, absl::UTCTimeZone()), level, " ");
  std::string stamped;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    absl::StrAppend(&stamped, stamp, text.substr(0, end));
    text.remove_prefix(end);
  }
  return stamped;
}

}  // namespace diffusiond
