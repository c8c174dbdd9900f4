#include "server/rpc/stall_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace diffusiond {

absl::Status StalledSince(absl::Time start) {
  const absl::Duration stalled = absl::Trunc(absl::Now() - start, absl::Milliseconds(1));
  return absl::CancelledError(
      absl::StrCat("the client took nothing for ", absl::FormatDuration(stalled)));
}

StallWatch::StallWatch(absl::Duration timeout) : timeout_(timeout) {
  if (timeout_ <= absl::ZeroDuration() || timeout_ == absl::InfiniteDuration()) return;
  thread_ = std::thread([this] { WatchUntilStopped(); });
}

StallWatch::~StallWatch() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void StallWatch::Add(std::weak_ptr<Stream> stream) {
  if (!thread_.joinable()) return;
  absl::MutexLock lock(&mu_);
  if (streams_.size() >= forget_at_) ForgetGone();
  streams_.push_back(std::move(stream));
}

void StallWatch::ForgetGone() {
  std::erase_if(streams_, [](const std::weak_ptr<Stream>& stream) { return stream.expired(); });
  forget_at_ = std::max(forget_at_, 2 * streams_.size());
}

void StallWatch::WatchUntilStopped() {
  while (true) {
    std::vector<std::shared_ptr<Stream>> living;
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&stopping_), timeout_ / 4)) return;
      ForgetGone();
      for (const std::weak_ptr<Stream>& stream : streams_) {
        if (std::shared_ptr<Stream> locked = stream.lock()) living.push_back(std::move(locked));
      }
    }
    const absl::Time limit = absl::Now() - timeout_;
    for (const std::shared_ptr<Stream>& stream : living) stream->EndIfStalledSince(limit);
  }
}

}  // namespace diffusiond
