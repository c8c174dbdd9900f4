#include "server/shutdown_signal.h"

#include <unistd.h>

#include <csignal>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace diffusiond {
namespace {

constexpr int kExitStatusOfSignal = 128;  // As shells report it.

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

int AwaitSignal() {
  const sigset_t signals = Signals();
  int number = 0;
  while (sigwait(&signals, &number) != 0) {
  }
  return number;
}

}  // namespace

struct ShutdownSignal::State {
  absl::Mutex mu;
  bool expected ABSL_GUARDED_BY(mu) = false;
  int first ABSL_GUARDED_BY(mu) = 0;
};

ShutdownSignal::ShutdownSignal() : state_(std::make_shared<State>()) {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([state = state_] {
    const int first = AwaitSignal();
    {
      absl::MutexLock lock(&state->mu);
      if (!state->expected) _exit(kExitStatusOfSignal + first);
      state->first = first;
    }
    _exit(kExitStatusOfSignal + AwaitSignal());
  }).detach();
}

void ShutdownSignal::Expect() {
  absl::MutexLock lock(&state_->mu);
  state_->expected = true;
}

int ShutdownSignal::Await() {
  absl::MutexLock lock(&state_->mu);
  state_->mu.Await(absl::Condition(
      +[](State* state) ABSL_NO_THREAD_SAFETY_ANALYSIS { return state->first != 0; },
      state_.get()));
  return state_->first;
}

}  // namespace diffusiond
