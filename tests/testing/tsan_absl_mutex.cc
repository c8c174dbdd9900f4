// Tells the thread sanitizer what absl::Mutex orders.
//
// A distribution's Abseil is built without the sanitizer, which therefore sees no locks, and calls
// every access under one a race. In a sanitizer build these definitions take the place of the
// shared library's, tell the sanitizer, and call the library's. Elsewhere this file is empty.
#include "absl/base/config.h"

#if defined(ABSL_HAVE_THREAD_SANITIZER)

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdlib>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// Abseil's functions call one another through here: only the outermost call is told.
thread_local int depth = 0;

class Outermost {
 public:
  Outermost() { ++depth; }
  ~Outermost() { --depth; }
  explicit operator bool() const { return depth == 1; }
};

// The next definition of absl::<inline namespace>::<rest>, both mangled.
template <typename Function>
Function* Next(const char* prefix, const char* rest) {
  const std::string space = ABSL_INTERNAL_INLINE_NAMESPACE_STR;
  const std::string name = prefix + std::to_string(space.size()) + space + rest;
  void* function = dlsym(RTLD_NEXT, name.c_str());
  if (function == nullptr) abort();
  return reinterpret_cast<Function*>(function);
}

void TellLock(absl::Mutex* mutex, unsigned flags = 0) {
  __tsan_mutex_pre_lock(mutex, flags);
  __tsan_mutex_post_lock(mutex, flags, 0);
}
void TellUnlock(absl::Mutex* mutex, unsigned flags = 0) {
  __tsan_mutex_pre_unlock(mutex, flags);
  __tsan_mutex_post_unlock(mutex, flags);
}

// Abseil's own search for lock cycles keeps a graph behind a lock that the sanitizer does not see;
// the sanitizer looks for them itself.
[[maybe_unused]] const bool cycles_are_the_sanitizers = [] {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return true;
}();

}  // namespace

// `next`: the library's definition, which takes the object first, as the ABI has it.
#define DIFFUSIOND_NEXT(rest, result, ...) \
  static auto* const next = Next<result(__VA_ARGS__)>("_ZN4absl", rest)

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  DIFFUSIOND_NEXT("5Mutex4LockEv", void, Mutex*);
  Outermost outermost;
  next(this);
  if (outermost) TellLock(this);
}

bool Mutex::TryLock() {
  DIFFUSIOND_NEXT("5Mutex7TryLockEv", bool, Mutex*);
  Outermost outermost;
  const bool locked = next(this);
  if (outermost && locked) TellLock(this);
  return locked;
}

void Mutex::Unlock() {
  DIFFUSIOND_NEXT("5Mutex6UnlockEv", void, Mutex*);
  Outermost outermost;
  if (outermost) TellUnlock(this);
  next(this);
}

void Mutex::ReaderLock() {
  DIFFUSIOND_NEXT("5Mutex10ReaderLockEv", void, Mutex*);
  Outermost outermost;
  next(this);
  if (outermost) TellLock(this, __tsan_mutex_read_lock);
}

void Mutex::ReaderUnlock() {
  DIFFUSIOND_NEXT("5Mutex12ReaderUnlockEv", void, Mutex*);
  Outermost outermost;
  if (outermost) TellUnlock(this, __tsan_mutex_read_lock);
  next(this);
}

void Mutex::LockWhen(const Condition& condition) {
  DIFFUSIOND_NEXT("5Mutex8LockWhenERKNS0_9ConditionE", void, Mutex*, const Condition&);
  Outermost outermost;
  next(this, condition);
  if (outermost) TellLock(this);
}

void Mutex::Await(const Condition& condition) {
  DIFFUSIOND_NEXT("5Mutex5AwaitERKNS0_9ConditionE", void, Mutex*, const Condition&);
  Outermost outermost;
  if (outermost) TellUnlock(this);
  next(this, condition);
  if (outermost) TellLock(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  DIFFUSIOND_NEXT("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE", bool, Mutex*,
                  const Condition&, Duration);
  Outermost outermost;
  if (outermost) TellUnlock(this);
  const bool is_true = next(this, condition, timeout);
  if (outermost) TellLock(this);
  return is_true;
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  DIFFUSIOND_NEXT("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE", bool, Mutex*,
                  const Condition&, Time);
  Outermost outermost;
  if (outermost) TellUnlock(this);
  const bool is_true = next(this, condition, deadline);
  if (outermost) TellLock(this);
  return is_true;
}

void CondVar::Wait(Mutex* mutex) {
  DIFFUSIOND_NEXT("7CondVar4WaitEPNS0_5MutexE", void, CondVar*, Mutex*);
  Outermost outermost;
  if (outermost) TellUnlock(mutex);
  next(this, mutex);
  if (outermost) TellLock(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  DIFFUSIOND_NEXT("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE", bool, CondVar*, Mutex*,
                  Duration);
  Outermost outermost;
  if (outermost) TellUnlock(mutex);
  const bool timed_out = next(this, mutex, timeout);
  if (outermost) TellLock(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  DIFFUSIOND_NEXT("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE", bool, CondVar*, Mutex*,
                  Time);
  Outermost outermost;
  if (outermost) TellUnlock(mutex);
  const bool timed_out = next(this, mutex, deadline);
  if (outermost) TellLock(mutex);
  return timed_out;
}

// The thread that unlocks evaluates the conditions of those that wait, still under the lock but
// after it was told above that it let go.
bool Condition::Eval() const {
  static auto* const next = Next<bool(const Condition*)>("_ZNK4absl", "9Condition4EvalEv");
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool is_true = next(this);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return is_true;
}

ABSL_NAMESPACE_END
}  // namespace absl

#endif  // defined(ABSL_HAVE_THREAD_SANITIZER)
