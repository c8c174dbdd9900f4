#include "model/process/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

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

}  // namespace diffusiond
