// SIGTERM, SIGINT and, unless it is ignored (nohup), SIGHUP, also as process 1 of a container.
#ifndef DIFFUSIOND_SERVER_SHUTDOWN_SIGNAL_H_
#define DIFFUSIOND_SERVER_SHUTDOWN_SIGNAL_H_

#include <memory>

namespace diffusiond {

// Handlers pass the signals through a pipe to a thread, so that what follows may lock and allocate.
// Blocking the signals and waiting for them would not do: libraries start threads before main, and
// a signal would end the process through one of those. One object a process. Thread-safe.
class ShutdownSignal {
 public:
  // A signal before Expect ends the process at once, with status 128 + its number.
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
