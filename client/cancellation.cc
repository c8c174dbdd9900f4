#include "client/cancellation.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace diffusiond {
namespace {

void Raise(int event_fd) {
  const int saved_errno = errno;
  const uint64_t one = 1;
  // Fails only when the counter is full: then it is readable already.
  [[maybe_unused]] const ssize_t written = write(event_fd, &one, sizeof(one));
  errno = saved_errno;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cancellation>> Cancellation::Create() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot make an eventfd: ", strerror(errno)));
  }
  return absl::WrapUnique(new Cancellation(fd));
}

Cancellation::~Cancellation() { close(event_fd_); }

void Cancellation::Cancel() { Raise(event_fd_); }

bool Cancellation::cancelled() const { return WaitFor(absl::ZeroDuration()); }

bool Cancellation::WaitFor(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  pollfd waited{event_fd_, POLLIN, 0};
  while (true) {
    // In slices: poll counts milliseconds in an int.
    const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
    const absl::Duration slice = std::min(left, absl::Hours(1));
    const int ready = poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(slice)));
    if (ready > 0) return true;
    if (left < absl::Milliseconds(1)) return false;
  }
}

CancellationWatcher::CancellationWatcher(const Cancellation* cancellation,
                                         std::function<void()> on_cancel) {
  if (cancellation == nullptr) return;
  if (cancellation->cancelled()) {
    on_cancel();
    return;
  }
  done_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (done_fd_ < 0) return;  // The call goes on, only not to be cancelled.
  thread_ = std::thread(
      [done_fd = done_fd_, cancel_fd = cancellation->event_fd_, on_cancel = std::move(on_cancel)] {
        pollfd waited[] = {{cancel_fd, POLLIN, 0}, {done_fd, POLLIN, 0}};
        while (poll(waited, 2, -1) < 0 && errno == EINTR) {
        }
        if ((waited[0].revents & POLLIN) != 0) on_cancel();
      });
}

CancellationWatcher::~CancellationWatcher() {
  if (!thread_.joinable()) return;
  Raise(done_fd_);
  thread_.join();
  close(done_fd_);
}

}  // namespace diffusiond
