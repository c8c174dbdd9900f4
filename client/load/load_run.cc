#include "client/load/load_run.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <queue>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/diffusion_client.h"
#include "client/load/load_stream.h"
#include "client/rpc_error.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Stubs = std::vector<std::unique_ptr<v1::DiffusionService::Stub>>;

absl::Duration SteadyNow() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

absl::Status CheckOptions(const LoadRunOptions& options) {
  const auto in = [](int value, int most) { return value >= 1 && value <= most; };
  if (!in(options.channels, kMaxLoadChannels)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--channels=", options.channels, ", expected 1 .. ", kMaxLoadChannels));
  }
  if (!in(options.max_in_flight, kMaxLoadInFlight)) {
    return absl::InvalidArgumentError(absl::StrCat("--max_in_flight=", options.max_in_flight,
                                                   ", expected 1 .. ", kMaxLoadInFlight));
  }
  for (const absl::Duration time :
       {options.connect_timeout, options.drain_timeout, options.progress_interval}) {
    if (time > absl::ZeroDuration()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "a timeout or interval of ", absl::FormatDuration(time), ", expected above 0"));
  }
  return absl::OkStatus();
}

// Connected stubs, each with a connection of its own.
absl::StatusOr<Stubs> Connect(const LoadRunOptions& options) {
  Stubs stubs;
  for (int i = 0; i < options.channels; ++i) {
    ASSIGN_OR_RETURN(const auto client,
                     DiffusionClient::Connect(options.target, {.credentials = options.credentials,
                                                               .own_connection = true}));
    // Any answer will do: it came over the connection.
    const absl::Status asked =
        client
            ->ListModels({.timeout = options.connect_timeout, .cancellation = options.cancellation})
            .status();
    if (IsUnreachable(asked) || absl::IsDeadlineExceeded(asked) || absl::IsCancelled(asked)) {
      return asked;
    }
    stubs.push_back(v1::DiffusionService::NewStub(client->channel()));
  }
  return stubs;
}

// The caller's thread sends, cancels and waits; gRPC's threads bring what ends.
class LoadRun {
 public:
  LoadRun(const LoadPlan& plan, const LoadRunOptions& options, Stubs stubs)
      : plan_(plan),
        options_(options),
        stubs_(std::move(stubs)),
        now_(options.now ? options.now : SteadyNow),
        start_(now_()),
        records_(plan.requests.size()),
        running_(plan.requests.size()) {
    for (size_t i = 0; i < records_.size(); ++i) {
      records_[i].entry = plan.requests[i].entry;
      records_[i].intended = absl::ToDoubleSeconds(plan.requests[i].at);
    }
  }

  LoadResult Run() {
    const CancellationWatcher watcher(options_.cancellation, [this] {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    });
    ReportProgress();
    while (!Ended()) {
      SendDue();
      CancelDue();
      if (Elapsed() >= next_progress_) ReportProgress();
      WaitUntil(NextEvent());
    }
    ReportProgress();
    absl::MutexLock lock(&mutex_);
    return {.records = std::move(records_),
            .window = std::min(plan_.window, stopped_at_),
            .stopped = stopped_at_ != absl::InfiniteDuration(),
            .first_failure = first_failure_};
  }

 private:
  absl::Duration Elapsed() const { return now_() - start_; }
  bool AllSent() const { return next_ == plan_.requests.size(); }

  // Also takes notice of a stop.
  bool Ended() {
    bool stop = false;
    {
      absl::MutexLock lock(&mutex_);
      if (AllSent() && in_flight_ == 0) return true;
      stop = std::exchange(stop_, false);
      if (stop) stopped_at_ = Elapsed();
    }
    if (stop) {
      next_ = plan_.requests.size();
      CancelAll(CancelledBy::kUser);
    }
    return false;
  }

  void SendDue() {
    while (!AllSent() && plan_.requests[next_].at <= Elapsed()) Send(next_++);
    if (AllSent() && !std::exchange(draining_, true)) {
      drained_at_ = Elapsed() + options_.drain_timeout;
    }
  }

  void Send(size_t index) {
    const PlannedRequest& request = plan_.requests[index];
    const LoadEntry& entry = plan_.mix.entries[request.entry];
    std::shared_ptr<LoadStream> stream;
    {
      absl::MutexLock lock(&mutex_);
      if (stop_) return;  // Stays kStopped, as the rest will.
      if (in_flight_ == options_.max_in_flight) {
        records_[index].outcome = LoadOutcome::kNotSent;
        ++counts_.not_sent;
        return;
      }
      ++in_flight_;
      ++counts_.sent;
      stream = std::make_shared<LoadStream>(
          [this] { return absl::ToDoubleSeconds(Elapsed()); }, &records_[index],
          [this, index](const grpc::Status& status, bool whole) { OnDone(index, status, whole); });
      running_[index].stream = stream;
    }
    if (entry.cancel_after != absl::InfiniteDuration()) {
      cancels_.push({request.at + entry.cancel_after, index});
    }
    stream->Start(entry, request.seed, request.at + entry.deadline - Elapsed(),
                  *stubs_[index % stubs_.size()]);
  }

  enum class CancelledBy { kNobody, kUser, kTimeout };

  struct Running {
    std::shared_ptr<LoadStream> stream = nullptr;  // Null: not sent, or ended.
    CancelledBy cancelled_by = CancelledBy::kNobody;
  };

  void CancelDue() {
    for (; !cancels_.empty() && cancels_.top().first <= Elapsed(); cancels_.pop()) {
      CancelOne(cancels_.top().second, CancelledBy::kUser);
    }
    if (Elapsed() >= drained_at_) {
      CancelAll(CancelledBy::kTimeout);
      drained_at_ = absl::InfiniteDuration();
    }
  }

  void CancelAll(CancelledBy by) {
    for (size_t index = 0; index < records_.size(); ++index) CancelOne(index, by);
  }

  // gRPC may end the call before TryCancel returns: no lock is held over it.
  void CancelOne(size_t index, CancelledBy by) {
    std::shared_ptr<LoadStream> stream;
    {
      absl::MutexLock lock(&mutex_);
      stream = running_[index].stream;
      if (stream == nullptr) return;
      if (running_[index].cancelled_by == CancelledBy::kNobody) running_[index].cancelled_by = by;
    }
    stream->Cancel();
  }

  // On a thread of gRPC's, for each stream once.
  void OnDone(size_t index, const grpc::Status& status, bool whole) {
    std::shared_ptr<LoadStream> stream;
    {
      absl::MutexLock lock(&mutex_);
      stream = std::move(running_[index].stream);
      NoteOutcome(index, status, whole);
    }
    // Gone before Run may return: the stream is of no use without this.
    stream.reset();
    absl::MutexLock lock(&mutex_);
    --in_flight_;
  }

  void NoteOutcome(size_t index, const grpc::Status& status, bool whole)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    LoadRecord& record = records_[index];
    record.outcome = Outcome(status, whole, running_[index].cancelled_by);
    const LoadEntry& entry = plan_.mix.entries[record.entry];
    const double taken = record.finished - record.intended;
    record.deadline_met =
        record.outcome == LoadOutcome::kOk && taken <= absl::ToDoubleSeconds(entry.deadline);
    counts_.ok += record.outcome == LoadOutcome::kOk;
    counts_.refused += record.outcome == LoadOutcome::kRefused;
    if (record.outcome != LoadOutcome::kFailed || !first_failure_.ok()) return;
    if (status.ok()) {
      first_failure_ = absl::InternalError("the stream ended with OK, but without all its images");
    } else if (running_[index].cancelled_by == CancelledBy::kTimeout) {
      first_failure_ = absl::DeadlineExceededError(
          absl::StrCat("cancelled: still running ", absl::FormatDuration(options_.drain_timeout),
                       " after the last request was sent"));
    } else {
      first_failure_ = StatusFromRpc(status, options_.target);
    }
  }

  static LoadOutcome Outcome(const grpc::Status& status, bool whole, CancelledBy cancelled_by) {
    switch (status.error_code()) {
      case grpc::StatusCode::OK:
        return whole ? LoadOutcome::kOk : LoadOutcome::kFailed;
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
        return LoadOutcome::kRefused;
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return LoadOutcome::kDeadlineExceeded;
      case grpc::StatusCode::CANCELLED:
        return cancelled_by == CancelledBy::kUser ? LoadOutcome::kCancelled : LoadOutcome::kFailed;
      default:
        return LoadOutcome::kFailed;
    }
  }

  absl::Duration NextEvent() const {
    absl::Duration next = std::min(next_progress_, drained_at_);
    if (!AllSent()) next = std::min(next, plan_.requests[next_].at);
    if (!cancels_.empty()) next = std::min(next, cancels_.top().first);
    return next;
  }

  // Until `time`, a stop, or the end of the last stream.
  void WaitUntil(absl::Duration time) {
    absl::MutexLock lock(&mutex_);
    const bool all_sent = AllSent();
    const auto wake = [this, all_sent]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return stop_ || (all_sent && in_flight_ == 0);
    };
    mutex_.AwaitWithTimeout(absl::Condition(&wake), time - Elapsed());
  }

  void ReportProgress() {
    next_progress_ = Elapsed() + options_.progress_interval;
    if (!options_.on_progress) return;
    LoadProgress progress;
    {
      absl::MutexLock lock(&mutex_);
      progress = counts_;
      progress.in_flight = in_flight_;
    }
    progress.elapsed = Elapsed();
    progress.planned = static_cast<int64_t>(plan_.requests.size());
    progress.other = progress.sent - progress.in_flight - progress.ok - progress.refused;
    options_.on_progress(progress);
  }

  const LoadPlan& plan_;
  const LoadRunOptions& options_;
  const Stubs stubs_;
  const std::function<absl::Duration()> now_;
  const absl::Duration start_;

  // The caller's thread alone.
  size_t next_ = 0;  // The first request whose time has not come.
  using TimedCancel = std::pair<absl::Duration, size_t>;
  std::priority_queue<TimedCancel, std::vector<TimedCancel>, std::greater<TimedCancel>> cancels_;
  absl::Duration next_progress_ = absl::ZeroDuration();
  bool draining_ = false;  // All is sent.
  absl::Duration drained_at_ = absl::InfiniteDuration();
  absl::Duration stopped_at_ = absl::InfiniteDuration();

  // A running stream writes its own record without the lock; others leave that record alone.
  std::vector<LoadRecord> records_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  LoadProgress counts_ ABSL_GUARDED_BY(mutex_);  // Of what has ended.
  std::vector<Running> running_ ABSL_GUARDED_BY(mutex_);
  absl::Status first_failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<LoadResult> RunLoad(const LoadPlan& plan, const LoadRunOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(Stubs stubs, Connect(options));
  return LoadRun(plan, options, std::move(stubs)).Run();
}

}  // namespace diffusiond
