// Tells the thread sanitizer what gRPC orders.
//
// A distribution's gRPC is built without the sanitizer, which therefore does not see that a batch
// of a call's operations is over only after it was started, and calls what one reaction left to the
// next a race. In a sanitizer build these definitions take the place of the shared library's, tell
// the sanitizer, and call the library's. Elsewhere this file is empty.
#include "absl/base/config.h"

#if defined(ABSL_HAVE_THREAD_SANITIZER)

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdlib>

#include "grpc/grpc.h"

namespace {

template <typename Function>
Function* Next(const char* name) {
  void* function = dlsym(RTLD_NEXT, name);
  if (function == nullptr) abort();
  return reinterpret_cast<Function*>(function);
}

grpc_event Told(grpc_event event) {
  if (event.type == GRPC_OP_COMPLETE && event.tag != nullptr) __tsan_acquire(event.tag);
  return event;
}

}  // namespace

extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t nops, void* tag,
                                      void* reserved) {
  static auto* const next = Next<decltype(grpc_call_start_batch)>("grpc_call_start_batch");
  if (tag != nullptr) __tsan_release(tag);
  return next(call, ops, nops, tag, reserved);
}

// Reactions run in threads that take them from here.
grpc_event grpc_completion_queue_next(grpc_completion_queue* cq, gpr_timespec deadline,
                                      void* reserved) {
  static auto* const next =
      Next<decltype(grpc_completion_queue_next)>("grpc_completion_queue_next");
  return Told(next(cq, deadline, reserved));
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* cq, void* tag, gpr_timespec deadline,
                                       void* reserved) {
  static auto* const next =
      Next<decltype(grpc_completion_queue_pluck)>("grpc_completion_queue_pluck");
  return Told(next(cq, tag, deadline, reserved));
}

}  // extern "C"

#endif  // defined(ABSL_HAVE_THREAD_SANITIZER)
