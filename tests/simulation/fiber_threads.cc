// Makes fibers of threads, in the program that links this: pthread_create, and Abseil's Mutex and
// CondVar, are those below in place of the shared libraries'.
//
// A lock is where another thread may go first: what two threads can do to one another between two
// locks, they can also do at the next one, as long as all that they share stands under locks (which
// the thread sanitizer sees to, whose preset has this program too).
#include <dlfcn.h>
#include <pthread.h>

#include <cstdio>
#include <cstdlib>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/simulation/fibers.h"

#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
// Of this file, which is compiled without it, the thread sanitizer is told what orders threads.
#include <sanitizer/tsan_interface.h>
#endif

namespace {

using diffusiond::Fibers;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "fiber_threads: %s\n", what);
  std::abort();
}

Fibers& Here() {
  if (Fibers::Active() == nullptr) Die("a thread waits, and there is no simulation");
  return *Fibers::Active();
}

void TellTaken([[maybe_unused]] absl::Mutex* mutex) {
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  __tsan_acquire(mutex);
#endif
}

void TellReleased([[maybe_unused]] absl::Mutex* mutex) {
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  __tsan_release(mutex);
#endif
}

// Bits of a Mutex.
constexpr intptr_t kHeld = 1, kReader = 2;

// `may_take`: whether the lock is free, for the way in which it is wanted.
template <typename MayTake>
void TakeLock(absl::Mutex* mutex, MayTake may_take, bool may_yield) {
  if (may_yield && Fibers::Active() != nullptr) Fibers::Active()->MayYield();
  while (!may_take()) Here().Wait(mutex);
  TellTaken(mutex);
}

void Freed(absl::Mutex* mutex) {
  if (Fibers::Active() != nullptr) Fibers::Active()->WakeAll(mutex);
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

Mutex::~Mutex() {
  if (mu_.load() != 0) Die("a mutex is destroyed while it is held");
}

void Mutex::Lock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  TakeLock(
      this, [this] { return mu_.load() == 0; }, true);
  mu_ = kHeld;
}

bool Mutex::TryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (mu_.load() != 0) return false;
  TellTaken(this);
  mu_ = kHeld;
  return true;
}

void Mutex::Unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (mu_.load() != kHeld) Die("a mutex is unlocked that nobody holds");
  TellReleased(this);
  mu_ = 0;
  Freed(this);
}

void Mutex::ReaderLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  TakeLock(
      this, [this] { return (mu_.load() & kHeld) == 0; }, true);
  mu_ += kReader;
}

void Mutex::ReaderUnlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  TellReleased(this);
  mu_ -= kReader;
  if (mu_.load() == 0) Freed(this);
}

void Mutex::AssertHeld() const {
  if (mu_.load() != kHeld) Die("a mutex is not held that should be");
}

void Mutex::AssertReaderHeld() const {
  if (mu_.load() == 0) Die("a mutex is not held that should be");
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  while (!condition.Eval()) {
    if (Here().Now() >= deadline) return false;
    TellReleased(this);
    mu_ = 0;
    Freed(this);
    Here().Wait(this, deadline);
    TakeLock(
        this, [this] { return mu_.load() == 0; }, false);
    mu_ = kHeld;
  }
  return true;
}

void Mutex::Await(const Condition& condition) { AwaitWithDeadline(condition, InfiniteFuture()); }

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  const bool waits = Fibers::Active() != nullptr;
  return AwaitWithDeadline(condition, waits ? Here().Now() + timeout : InfiniteFuture());
}

void Mutex::LockWhen(const Condition& condition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Lock();
  Await(condition);
}

CondVar::~CondVar() {
  if (Fibers::Active() != nullptr && Fibers::Active()->IsWaitedFor(this)) {
    Die("a condition variable is destroyed while somebody waits on it");
  }
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Fibers& here = Here();
  mutex->Unlock();  // Nobody goes on before this one waits.
  const bool woken = here.Wait(this, here.Spurious() ? here.Now() + Nanoseconds(1) : deadline);
  mutex->Lock();
  return !woken && here.Now() >= deadline;
}

void CondVar::Wait(Mutex* mutex) { WaitWithDeadline(mutex, InfiniteFuture()); }

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  return WaitWithDeadline(mutex, Here().Now() + timeout);
}

void CondVar::Signal() {
  if (Fibers::Active() != nullptr) Fibers::Active()->WakeOne(this);
}

void CondVar::SignalAll() {
  if (Fibers::Active() != nullptr) Fibers::Active()->WakeAll(this);
}

ABSL_NAMESPACE_END
}  // namespace absl

extern "C" {

int pthread_create(pthread_t* thread, const pthread_attr_t*, void* (*body)(void*), void* argument) {
  *thread = static_cast<pthread_t>(Here().Spawn("thread", [body, argument] { body(argument); }));
  return 0;
}

int pthread_join(pthread_t thread, void**) {
  Here().Join(static_cast<int>(thread));
  return 0;
}

int pthread_detach(pthread_t) { return 0; }

int pthread_setname_np(pthread_t, const char* name) {
  Here().Name(name);
  return 0;
}

}  // extern "C"
