#include "tests/testing/counted_inflate.h"

#include <dlfcn.h>
#include <zlib.h>

#include <atomic>

namespace {

std::atomic<int64_t> inflated_bytes = 0;

}  // namespace

extern "C" int inflate(z_streamp stream, int flush) {
  static const auto next = reinterpret_cast<int (*)(z_streamp, int)>(dlsym(RTLD_NEXT, "inflate"));
  const uInt room = stream->avail_out;
  const int result = next(stream, flush);
  inflated_bytes += room - stream->avail_out;
  return result;
}

namespace diffusiond {

int64_t InflatedBytes() { return inflated_bytes; }

}  // namespace diffusiond
