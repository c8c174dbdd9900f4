#include "client/interrupt.h"

#include <unistd.h>

#include <atomic>

#include "client/terminal.h"
#include "model/process/end_signals.h"

namespace diffusiond {
namespace {

// A handler has no argument of ours: these are the only globals.
Cancellation* to_cancel = nullptr;
int restored_fd = -1;
std::atomic<bool> signalled = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void OnSignal(int) {
  if (!signalled.exchange(true)) {
    to_cancel->Cancel();
    return;
  }
  if (restored_fd >= 0) {
    [[maybe_unused]] const ssize_t written =
        write(restored_fd, kRestoreTerminal, sizeof(kRestoreTerminal) - 1);
  }
  _exit(130);
}

}  // namespace

void CancelOnSignals(Cancellation* cancellation, int terminal_fd) {
  to_cancel = cancellation;
  restored_fd = terminal_fd;
  OnEndSignals(OnSignal);
}

}  // namespace diffusiond
