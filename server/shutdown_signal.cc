#include "server/shutdown_signal.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "model/process/end_signals.h"

namespace diffusiond {
namespace {

constexpr int kExitStatusOfSignal = 128;  // As shells report it.

// Set before the handlers are; a handler can be told nothing else.
int signal_pipe_input = -1;

void PassOn(int number) {
  const int saved = errno;
  const char byte = static_cast<char>(number);
  [[maybe_unused]] const ssize_t written = write(signal_pipe_input, &byte, 1);
  errno = saved;
}

// The next signal's number; -1 if none can come any more.
int AwaitSignal(int output) {
  char byte = 0;
  ssize_t taken = 0;
  do {
    taken = read(output, &byte, 1);
  } while (taken < 0 && errno == EINTR);
  return taken == 1 ? byte : -1;
}

}  // namespace

struct ShutdownSignal::State {
  absl::Mutex mu;
  bool expected ABSL_GUARDED_BY(mu) = false;
  int first ABSL_GUARDED_BY(mu) = 0;
};

ShutdownSignal::ShutdownSignal() : state_(std::make_shared<State>()) {
  int ends[2];
  if (pipe(ends) != 0) return;  // Signals keep their default: they end the process.
  signal_pipe_input = ends[1];
  std::thread([state = state_, output = ends[0]] {
    const int first = AwaitSignal(output);
    if (first < 0) return;
    {
      absl::MutexLock lock(&state->mu);
      if (!state->expected) _exit(kExitStatusOfSignal + first);
      state->first = first;
    }
    const int second = AwaitSignal(output);
    if (second >= 0) _exit(kExitStatusOfSignal + second);
  }).detach();
  OnEndSignals(PassOn);
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
