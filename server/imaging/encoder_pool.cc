#include "server/imaging/encoder_pool.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {

// Guarded by the pool's mutex.
class EncoderPool::Lane {
 public:
  std::deque<Job> jobs;
  bool scheduled = false;  // In ready_, or in a thread's hands.
};

absl::StatusOr<std::unique_ptr<EncoderPool>> EncoderPool::Create(Options options) {
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("encoder threads is ", options.threads, ", allowed: 1 to ", kMaxThreads));
  }
  if (options.max_queued_previews < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_queued_previews is ", options.max_queued_previews, ", allowed: 0 or more"));
  }
  return std::unique_ptr<EncoderPool>(new EncoderPool(std::move(options)));
}

EncoderPool::EncoderPool(Options options) : options_(std::move(options)) {
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this] { EncodeUntilStopped(); });
  }
}

EncoderPool::~EncoderPool() {
  std::deque<std::shared_ptr<Lane>> dropped;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    dropped.swap(ready_);
  }
  for (std::thread& thread : threads_) thread.join();
  // A waiting callback may own its lane; only taking the jobs out frees both.
  for (const std::shared_ptr<Lane>& lane : dropped) lane->jobs.clear();
}

std::shared_ptr<EncoderPool::Lane> EncoderPool::NewLane() { return std::make_shared<Lane>(); }

bool EncoderPool::SchedulePreview(const std::shared_ptr<Lane>& lane, int slot, Frame frame,
                                  EncodeOptions options, Callback done) {
  // What is replaced is destroyed without the lock: callbacks own what they report to.
  Job job{std::move(frame), options, std::move(done), slot};
  absl::MutexLock lock(&mu_);
  if (stopping_) return true;
  for (Job& waiting : lane->jobs) {
    if (waiting.slot != slot) continue;
    std::swap(waiting, job);
    return true;
  }
  if (queued_previews_ >= options_.max_queued_previews) return true;
  ++queued_previews_;
  Schedule(lane, std::move(job));
  return false;
}

void EncoderPool::ScheduleImage(const std::shared_ptr<Lane>& lane, Frame frame,
                                EncodeOptions options, Callback done) {
  absl::MutexLock lock(&mu_);
  if (stopping_) return;
  Schedule(lane, Job{std::move(frame), options, std::move(done), /*slot=*/std::nullopt});
}

void EncoderPool::Schedule(const std::shared_ptr<Lane>& lane, Job job) {
  lane->jobs.push_back(std::move(job));
  if (lane->scheduled) return;
  lane->scheduled = true;
  ready_.push_back(lane);
}

void EncoderPool::Abandon(const std::shared_ptr<Lane>& lane) {
  // Callbacks own what they report to; they are destroyed without the lock.
  std::deque<Job> dropped;
  absl::MutexLock lock(&mu_);
  dropped.swap(lane->jobs);
  for (const Job& job : dropped) queued_previews_ -= job.slot.has_value() ? 1 : 0;
}

void EncoderPool::EncodeUntilStopped() {
  const auto has_work_or_stops = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !ready_.empty();
  };
  while (true) {
    std::shared_ptr<Lane> lane;
    Job job;
    {
      absl::MutexLock lock(&mu_, absl::Condition(&has_work_or_stops));
      if (stopping_) return;
      lane = std::move(ready_.front());
      ready_.pop_front();
      if (lane->jobs.empty()) {  // Abandoned while it was ready.
        lane->scheduled = false;
        continue;
      }
      job = std::move(lane->jobs.front());
      lane->jobs.pop_front();
      queued_previews_ -= job.slot.has_value() ? 1 : 0;
    }
    const absl::Time start = options_.now();
    absl::StatusOr<EncodedFrame> encoded = options_.encode(job.frame, job.options);
    const absl::Duration duration = options_.now() - start;
    job.done(Result{std::move(encoded), duration});
    job = Job();  // Without the lock: the callback's owner may end with it.
    std::deque<Job> dropped;
    absl::MutexLock lock(&mu_);
    lane->scheduled = !lane->jobs.empty() && !stopping_;
    if (lane->scheduled) ready_.push_back(std::move(lane));
    if (stopping_ && lane != nullptr) dropped.swap(lane->jobs);
  }
}

}  // namespace diffusiond
