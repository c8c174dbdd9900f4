#include "server/engine/engine.h"

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
  if (options.frame_threads < 1 || options.frame_threads > Outbox::kMaxFrameThreads) {
    return absl::InvalidArgumentError(absl::StrCat("frame_threads: ", options.frame_threads,
                                                   ", expected 1 to ", Outbox::kMaxFrameThreads));
  }
  if (options.max_waiting_previews < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_waiting_previews: ", options.max_waiting_previews, ", expected 0 or more"));
  }
  if (!options.make_policy) {
    options.make_policy = [high_share = options.high_priority_share] {
      return std::make_unique<StepPolicy>(StepPolicy::Options{.high_share = high_share});
    };
  }
  std::unique_ptr<Engine> engine(new Engine(std::move(options)));
  engine->ReportDepth();  // The limit is known before the first generation.
  return engine;
}

Engine::Engine(Options options)
    : options_(std::move(options)),
      scheduler_(std::make_unique<StepScheduler>(
          StepScheduler::Limits{.places = {.places = options_.max_trajectories,
                                           .share = options_.queue_share,
                                           .high_share = options_.high_priority_share},
                                .max_resident_trajectories = options_.max_resident_trajectories},
          options_.make_policy)),
      outbox_({.frame_threads = options_.frame_threads,
               .max_waiting_previews = options_.max_waiting_previews,
               .count = options_.metrics == nullptr
                            ? std::function<void(const EngineCounts&)>()
                            : [this](const EngineCounts& counts) { Count(counts); }}) {}

Engine::~Engine() = default;

absl::StatusOr<GenerationId> Engine::Submit(GenerationSpec spec,
                                            std::shared_ptr<GenerationListener> listener) {
  absl::StatusOr<GenerationId> id;
  {
    absl::MutexLock lock(&mu_);
    if (draining_) {
      id = absl::UnavailableError("the server is draining; try another replica");
    } else {
      const int images = static_cast<int>(spec.trajectories.size());
      id = scheduler_->Admit(std::move(spec), options_.now());
      if (id.ok()) outbox_.Add(*id, std::move(listener), images);
    }
    if (id.ok()) {
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
  Effects effects;
  {
    absl::MutexLock lock(&mu_);
    scheduler_->End(id, reason, options_.now(), effects);
    // Its residents may have kept others out.
    work_.SignalAll();
    Post(effects);
  }
  Conclude(std::move(effects));
}

bool Engine::Drain(absl::Time deadline) {
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
  }
  if (outbox_.AwaitAllEnded(deadline - options_.now())) return true;
  Effects effects;
  {
    absl::MutexLock lock(&mu_);
    scheduler_->EndAll(absl::UnavailableError("the server stopped before the images were drawn"),
                       options_.now(), effects);
    Post(effects);
  }
  Conclude(std::move(effects));
  return false;
}

void Engine::Shutdown() {
  Effects effects;
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    shut_down_ = true;
    scheduler_->EndAll(absl::UnavailableError("the server stopped before the images were drawn"),
                       options_.now(), effects);
    work_.SignalAll();
    Post(effects);
  }
  Conclude(std::move(effects));
  AwaitTold();
}

void Engine::AwaitTold() const { outbox_.AwaitQuiet(); }

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
  Effects effects;
  {
    absl::MutexLock lock(&mu_);
    scheduler_->AbandonWorker(id, reason, options_.now(), effects);
    work_.SignalAll();
    Post(effects);
  }
  Conclude(std::move(effects));
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
  Effects effects;
  {
    absl::MutexLock lock(&mu_);
    scheduler_->RemoveModel(model, options_.now(), effects);
    work_.SignalAll();
    Post(effects);
  }
  Conclude(std::move(effects));
}

std::optional<StepBatch> Engine::NextBatch(WorkerId id) {
  bool waited = false;
  while (true) {
    Effects effects;
    std::optional<StepBatch> batch;
    {
      absl::MutexLock lock(&mu_);
      if (shut_down_ || !scheduler_->HasWorker(id)) return std::nullopt;
      const absl::Time now = options_.now();
      scheduler_->ExpireDue(now, effects);
      batch = scheduler_->Choose(id, now, effects);
      if (!batch.has_value() && effects.empty()) {
        waited = true;
        work_.WaitWithTimeout(&mu_, scheduler_->NextWake() - now);
        continue;
      }
      Post(effects);
    }
    Conclude(std::move(effects));
    if (!batch.has_value()) continue;
    batch->waited = waited;
    return batch;
  }
}

std::optional<StepBatch> Engine::TryNextBatch(WorkerId id) {
  Effects effects;
  std::optional<StepBatch> batch;
  {
    absl::MutexLock lock(&mu_);
    if (shut_down_) return std::nullopt;
    const absl::Time now = options_.now();
    scheduler_->ExpireDue(now, effects);
    batch = scheduler_->Choose(id, now, effects);
    Post(effects);
  }
  Conclude(std::move(effects));
  return batch;
}

void Engine::Complete(StepBatch batch, absl::Status status) {
  const absl::Time now = options_.now();
  EngineMetrics::Step step{.model = batch.model,
                           .micro_batch = batch.micro_batch,
                           .capacity = batch.capacity,
                           .duration = now - batch.started,
                           .overhead = batch.overhead};
  for (const StepTask& task : batch.tasks) step.passes += NetworkPasses(task);
  Effects effects;
  {
    absl::MutexLock lock(&mu_);
    const bool counts = scheduler_->Settle(batch, status, now, effects);
    if (counts && status.ok()) effects.counts.step = std::move(step);
    if (counts && !status.ok()) effects.counts.device_failure = batch.model;
    work_.SignalAll();
    Post(effects);
  }
  batch.tasks.clear();  // They share registers.
  Conclude(std::move(effects));
}

void Engine::Post(Effects& effects) {
  const EngineMetrics::QueueDepth depth = scheduler_->depth();
  effects.posted = !effects.events.empty() || !effects.counts.empty() || depth != posted_depth_;
  // Of most batches that are chosen nobody need hear: they go on with what was begun.
  if (!effects.posted) return;
  posted_depth_ = depth;
  outbox_.Post(std::move(effects.events), std::move(effects.counts));
}

void Engine::Conclude(Effects effects) {
  effects.dropped.clear();  // Device memory first.
  if (effects.posted) outbox_.Wake();
}

void Engine::Count(const EngineCounts& counts) {
  EngineMetrics& metrics = *options_.metrics;
  if (counts.step.has_value()) metrics.OnStep(*counts.step);
  if (counts.device_failure.has_value()) metrics.OnDeviceFailure(*counts.device_failure);
  for (const auto& first_step : counts.first_steps) metrics.OnFirstStep(first_step);
  for (const int64_t delay : counts.release_delays) metrics.OnReleased(delay);
  if (counts.preemptions > 0) metrics.OnPreemptions(counts.preemptions);
  if (counts.migrations > 0) metrics.OnMigrations(counts.migrations);
  for (const auto& end : counts.finished) metrics.OnGenerationFinished(end);
  ReportDepth();
}

void Engine::ReportDepth() {
  if (options_.metrics == nullptr) return;
  absl::MutexLock report(&depth_mu_);
  EngineMetrics::QueueDepth depth;
  {
    absl::MutexLock lock(&mu_);
    depth = scheduler_->depth();
  }
  options_.metrics->OnQueueDepth(depth);
}

}  // namespace diffusiond
