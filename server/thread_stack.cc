// Gives every thread of this program a stack that LibTorch's libraries leave room in.
//
// A thread's thread-local storage is taken from its stack. OpenBLAS (61 KB), glog (30 KB) and
// LibTorch (10 KB) together take more than the 100 KB that CivetWeb, under prometheus-cpp, asks for
// its threads, so glibc refuses to start them and the metrics port reads as "cannot be bound". No
// option of CivetWeb changes its stack size, so this program's own pthread_attr_setstacksize stands
// in front of libc's and raises small requests.
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <cstddef>

namespace {

constexpr size_t kLeastThreadStack = size_t{1} << 20;

}  // namespace

extern "C" int pthread_attr_setstacksize(pthread_attr_t* attributes, size_t bytes) {
  using Function = int (*)(pthread_attr_t*, size_t);
  static const auto next =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  return next(attributes, std::max(bytes, kLeastThreadStack));
}
