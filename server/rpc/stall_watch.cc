#include "server/rpc/stall_watch.h"

#include <utility>

#include "absl/time/clock.h"

namespace diffusiond {

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
  streams_.push_back(std::move(stream));
}

void StallWatch::WatchUntilStopped() {
  while (true) {
    std::vector<std::shared_ptr<Stream>> living;
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&stopping_), timeout_ / 4)) return;
      std::vector<std::weak_ptr<Stream>> kept;
      for (std::weak_ptr<Stream>& stream : streams_) {
        if (std::shared_ptr<Stream> locked = stream.lock(); locked != nullptr) {
          living.push_back(std::move(locked));
          kept.push_back(std::move(stream));
        }
      }
      streams_ = std::move(kept);
    }
    const absl::Time limit = absl::Now() - timeout_;
    for (const std::shared_ptr<Stream>& stream : living) stream->EndIfStalledSince(limit);
  }
}

}  // namespace diffusiond
