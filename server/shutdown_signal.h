// SIGTERM and SIGINT, also as process 1 of a container.
#ifndef DIFFUSIOND_SERVER_SHUTDOWN_SIGNAL_H_
#define DIFFUSIOND_SERVER_SHUTDOWN_SIGNAL_H_

#include <memory>

namespace diffusiond {

// A thread waits for the signals; no handlers, so that what follows may lock and allocate. The
// kernel drops signals that process 1 does not handle, unless they are blocked, which they are
// here. Thread-safe.
class ShutdownSignal {
 public:
  // Blocks the signals in this thread and in those started from now on: construct it first. A
  // signal before Expect ends the process at once, with status 128 + its number.
  ShutdownSignal();

  // From now on the first signal is an orderly request and only the second ends the process at
  // once: whoever asks twice does not want to wait.
  void Expect();

  // Waits for the first one after Expect and returns its number.
  int Await();

 private:
  struct State;
  const std::shared_ptr<State> state_;  // The thread's, too: it ends with the process.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_SHUTDOWN_SIGNAL_H_
