#include "server/engine/engine.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/step_policy.h"
#include "server/engine/step_scheduler.h"

namespace diffusiond {
namespace {

constexpr double kLeastShare = 0.01;

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(Options options) {
  if (options.max_trajectories < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_trajectories: ", options.max_trajectories, ", expected 1 or more"));
  }
  if (options.max_resident_trajectories < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_resident_trajectories: ", options.max_resident_trajectories, ", expected 1 or more"));
  }
  for (const auto& [name, share] :
       {std::pair("queue_share", options.queue_share),
        std::pair("high_priority_share", options.high_priority_share)}) {
    if (share >= kLeastShare && share <= 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", share, ", expected ", kLeastShare, " to 1"));
  }
  if (!options.make_policy) {
    options.make_policy = [high_share = options.high_priority_share] {
      return std::make_unique<StepPolicy>(StepPolicy::Options{.high_share = high_share});
    };
  }
  return std::unique_ptr<Engine>(new Engine(std::move(options)));
}

Engine::Engine(Options options)
    : options_(std::move(options)),
      scheduler_(std::make_unique<StepScheduler>(
          StepScheduler::Limits{.places = {.places = options_.max_trajectories,
                                           .share = options_.queue_share,
                                           .high_share = options_.high_priority_share},
                                .max_resident_trajectories = options_.max_resident_trajectories},
          options_.make_policy)) {
  if (!options_.report_from_own_thread) return;
  reports_thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "engine reports");
    RunReports();
  });
}

Engine::~Engine() {
  {
    absl::MutexLock lock(&reports_mu_);
    reports_end_ = true;
  }
  if (reports_thread_.joinable()) reports_thread_.join();
}

absl::StatusOr<GenerationId> Engine::Submit(GenerationSpec spec,
                                            std::shared_ptr<GenerationListener> listener) {
  absl::StatusOr<GenerationId> id;
  {
    absl::MutexLock lock(&mu_);
    if (draining_) {
      id = absl::UnavailableError("the server is draining; try another replica");
    } else {
      id = scheduler_->Admit(std::move(spec), std::move(listener), options_.now());
    }
    if (id.ok()) {
      ++unreported_generations_;
      work_.SignalAll();
    }
  }
  if (id.ok()) {
    ReportDepth();
  } else if (options_.metrics != nullptr) {
    options_.metrics->OnRefused(id.status());
  }
  return id;
}

void Engine::Cancel(GenerationId id, absl::Status reason) {
  if (reason.ok()) reason = absl::CancelledError("cancelled");
  Aftermath aftermath;
  {
    absl::MutexLock lock(&mu_);
    scheduler_->End(id, reason, options_.now(), aftermath);
    // Its residents may have kept others out.
    work_.SignalAll();
  }
  Conclude(std::move(aftermath));
}

bool Engine::Drain(absl::Time deadline) {
  Aftermath aftermath;
  bool finished;
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    const auto all_reported = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return unreported_generations_ == 0;
    };
    finished = mu_.AwaitWithTimeout(absl::Condition(&all_reported), deadline - options_.now());
    if (!finished) {
      scheduler_->EndAll(absl::UnavailableError("the server stopped before the images were drawn"),
                         options_.now(), aftermath);
    }
  }
  Conclude(std::move(aftermath));
  return finished;
}

void Engine::Shutdown() {
  Aftermath aftermath;
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    shut_down_ = true;
    scheduler_->EndAll(absl::UnavailableError("the server stopped before the images were drawn"),
                       options_.now(), aftermath);
    work_.SignalAll();
  }
  Conclude(std::move(aftermath));
  AwaitReports();
}

WorkerId Engine::AddWorker(std::vector<WorkerCapacity> models) {
  absl::MutexLock lock(&mu_);
  return scheduler_->AddWorker(std::move(models));
}

void Engine::RemoveWorker(WorkerId id) {
  absl::MutexLock lock(&mu_);
  scheduler_->RemoveWorker(id);
  work_.SignalAll();
}

void Engine::AbandonWorker(WorkerId id, const absl::Status& reason) {
  Aftermath aftermath;
  {
    absl::MutexLock lock(&mu_);
    scheduler_->AbandonWorker(id, reason, options_.now(), aftermath);
    work_.SignalAll();
  }
  Conclude(std::move(aftermath));
}

void Engine::AddModel(WorkerId id, WorkerCapacity capacity) {
  absl::MutexLock lock(&mu_);
  scheduler_->AddModel(id, std::move(capacity));
  work_.SignalAll();
}

void Engine::InheritPace(const std::string& model, const std::string& from) {
  absl::MutexLock lock(&mu_);
  scheduler_->InheritPace(model, from);
}

void Engine::RemoveModel(const std::string& model) {
  Aftermath aftermath;
  {
    absl::MutexLock lock(&mu_);
    scheduler_->RemoveModel(model, options_.now(), aftermath);
    work_.SignalAll();
  }
  Conclude(std::move(aftermath));
}

std::optional<StepBatch> Engine::NextBatch(WorkerId id) {
  bool waited = false;
  while (true) {
    Aftermath aftermath;
    std::optional<StepBatch> batch;
    {
      absl::MutexLock lock(&mu_);
      if (shut_down_ || !scheduler_->HasWorker(id)) return std::nullopt;
      const absl::Time now = options_.now();
      scheduler_->ExpireDue(now, aftermath);
      batch = scheduler_->Choose(id, now, aftermath);
      if (!batch.has_value() && aftermath.empty()) {
        waited = true;
        work_.WaitWithTimeout(&mu_, scheduler_->NextWake() - now);
        continue;
      }
    }
    Conclude(std::move(aftermath));
    if (!batch.has_value()) continue;
    batch->waited = waited;
    return batch;
  }
}

std::optional<StepBatch> Engine::TryNextBatch(WorkerId id) {
  Aftermath aftermath;
  std::optional<StepBatch> batch;
  {
    absl::MutexLock lock(&mu_);
    if (shut_down_) return std::nullopt;
    const absl::Time now = options_.now();
    scheduler_->ExpireDue(now, aftermath);
    batch = scheduler_->Choose(id, now, aftermath);
  }
  Conclude(std::move(aftermath));
  return batch;
}

void Engine::Complete(StepBatch batch, absl::Status status) {
  const absl::Time now = options_.now();
  EngineMetrics::Step step{.model = batch.model,
                           .micro_batch = batch.micro_batch,
                           .capacity = batch.capacity,
                           .duration = now - batch.started,
                           .overhead = batch.overhead};
  for (const StepRow& row : batch.rows) step.network_rows += NetworkRows(row);
  Aftermath aftermath;
  {
    absl::MutexLock lock(&mu_);
    const bool counts = scheduler_->Settle(batch, status, now, aftermath);
    if (counts && status.ok()) aftermath.step = std::move(step);
    if (counts && !status.ok()) aftermath.device_failure = batch.model;
    work_.SignalAll();
  }
  batch.rows.clear();  // They share registers.
  Conclude(std::move(aftermath));
}

void Engine::Conclude(Aftermath aftermath) {
  aftermath.dropped.clear();  // Device memory first.
  if (!options_.report_from_own_thread) return Report(std::move(aftermath));
  absl::MutexLock lock(&reports_mu_);
  reports_.push_back(std::move(aftermath));
}

void Engine::RunReports() {
  const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(reports_mu_) {
    return !reports_.empty() || reports_end_;
  };
  while (true) {
    std::vector<Aftermath> reports;
    {
      absl::MutexLock lock(&reports_mu_);
      reporting_ = false;
      reports_mu_.Await(absl::Condition(&due));
      if (reports_.empty()) return;
      reports.swap(reports_);
      reporting_ = true;
    }
    for (Aftermath& aftermath : reports) Report(std::move(aftermath));
  }
}

void Engine::AwaitReports() {
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(reports_mu_) {
    return reports_.empty() && !reporting_;
  };
  absl::MutexLock lock(&reports_mu_);
  reports_mu_.Await(absl::Condition(&none));
}

void Engine::Report(Aftermath aftermath) {
  // The counts first, so that a client told "finished" finds itself counted.
  if (options_.metrics != nullptr) {
    if (aftermath.step.has_value()) options_.metrics->OnStep(*aftermath.step);
    if (aftermath.device_failure.has_value()) {
      options_.metrics->OnDeviceFailure(*aftermath.device_failure);
    }
    for (const auto& first_step : aftermath.first_steps) options_.metrics->OnFirstStep(first_step);
    for (const int64_t delay : aftermath.release_delays) options_.metrics->OnReleased(delay);
    if (aftermath.preemptions > 0) options_.metrics->OnPreemptions(aftermath.preemptions);
    if (aftermath.migrations > 0) options_.metrics->OnMigrations(aftermath.migrations);
    for (const auto& end : aftermath.finished) options_.metrics->OnGenerationFinished(end);
  }
  ReportDepth();
  int reported = 0;
  for (const std::shared_ptr<Generation>& generation : aftermath.to_deliver) {
    if (generation->events.Deliver()) ++reported;
  }
  if (reported > 0) {
    absl::MutexLock lock(&mu_);
    unreported_generations_ -= reported;
  }
}

void Engine::ReportDepth() {
  if (options_.metrics == nullptr) return;
  absl::MutexLock report(&depth_mu_);
  StepScheduler::Depth depth;
  {
    absl::MutexLock lock(&mu_);
    depth = scheduler_->depth();
  }
  options_.metrics->OnQueueDepth(depth.waiting, depth.resident, depth.resident_limit);
}

}  // namespace diffusiond
