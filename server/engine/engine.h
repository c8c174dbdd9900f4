// The step engine: many requests in, one step batch at a time out.
//
// A generation (one request) is `count` trajectories (one image each). A worker takes a StepBatch
// of trajectories of one model, runs one plan row of each, and gives them back; finished ones leave
// and waiting ones enter between any two steps. The engine knows no sampler, no tensor, no gRPC.
//
//   Submit -> StepScheduler (admission, StepPolicy) -> NextBatch -> worker -> Complete
//                                                          ^                     |
//                                                          +---- rows left ------+--> Outbox
#ifndef DIFFUSIOND_SERVER_ENGINE_ENGINE_H_
#define DIFFUSIOND_SERVER_ENGINE_ENGINE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/engine/engine_metrics.h"
#include "server/engine/generation.h"
#include "server/engine/outbox.h"
#include "server/engine/scheduling_policy.h"
#include "server/engine/step_batch.h"

namespace diffusiond {

struct Effects;
class StepScheduler;

// Thread-safe. One lock guards all state; it is held for bookkeeping alone, never while a network
// runs, a listener or a metric is called, or registers are destroyed.
class Engine {
 public:
  using StepBatch = ::diffusiond::StepBatch;
  using WorkerCapacity = ::diffusiond::WorkerCapacity;

  struct Options {
    // Trajectories admitted and not finished; Submit refuses what would pass it. At least 1.
    int max_trajectories = 1024;
    // Part of them that an address may have when all others have none, and a tenant of what its
    // address has (QueuePlaces): 0.01 .. 1. 1: all.
    double queue_share = 0.75;
    // The same for class HIGH, and the part of the machine that StepPolicy leaves it while others
    // wait, if make_policy is null.
    double high_priority_share = 0.5;
    // Trajectories that may hold registers (device memory) at once, per model; the rest wait. At
    // least 1.
    int max_resident_trajectories = 256;
    // Makes the rule for one model.
    std::function<std::unique_ptr<SchedulingPolicy>()> make_policy = nullptr;  // Null: StepPolicy.
    // As Outbox has them: threads on which listeners take frames, which encode them there, and
    // previews that may wait for one.
    int frame_threads = 2;
    int max_waiting_previews = 64;
    EngineMetrics* metrics = nullptr;  // Not owned, must outlive the engine; null: not counted.
    std::function<absl::Time()> now = absl::Now;  // Tests hand in a fake clock.
  };

  static absl::StatusOr<std::unique_ptr<Engine>> Create(Options options);
  ~Engine();  // Shutdown() must have been called and all batches completed.

  // Images that may wait and be in progress together.
  int max_trajectories() const { return options_.max_trajectories; }

  // Queues a generation; never blocks. `listener` is taken only on OK.
  // INVALID_ARGUMENT: no trajectories, or more than max_trajectories, or a plan without rows.
  // RESOURCE_EXHAUSTED: full now, or over its share, or the deadline cannot be met; a Refusal
  // (refusal.h) that says when to ask again. DEADLINE_EXCEEDED: already past. UNAVAILABLE:
  // draining.
  absl::StatusOr<GenerationId> Submit(GenerationSpec spec,
                                      std::shared_ptr<GenerationListener> listener);

  // Ends a generation with `reason` (not OK); its images leave at the next step. No effect once
  // finished.
  void Cancel(GenerationId id, absl::Status reason);

  // Refuses new generations from now on and waits until the listeners of the others have heard of
  // their end, or until `deadline`; then ends those with UNAVAILABLE. True if all finished by
  // themselves. Not for listeners to call.
  bool Drain(absl::Time deadline);

  // Makes every NextBatch return nullopt; what is left ends with UNAVAILABLE. All calls to
  // listeners have returned then. Not for listeners to call.
  void Shutdown();

  // Waits for a moment at which listeners and metrics have been told all that was decided. While
  // workers go on there may be none for long: for one who is the only worker, or has stopped them.
  // Not for listeners to call.
  void AwaitTold() const;

  // Registers a worker by what it can run. It then calls NextBatch and Complete in turn, and is
  // idle in between: idle workers share what waits, in whole micro-batches.
  WorkerId AddWorker(std::vector<WorkerCapacity> models);

  // Makes the worker's NextBatch return nullopt. A batch in its hands must still be given back.
  void RemoveWorker(WorkerId id);

  // Removes a worker that will not come back: what is in its hands goes to other workers, from
  // where it was before. If it does come back, what it brings is dropped.
  void AbandonWorker(WorkerId id, const absl::Status& reason);

  // The worker can run one more model from now on. No effect if it can already, or was removed.
  void AddModel(WorkerId id, WorkerCapacity capacity);

  // Lets predictions for `model`, of which no step was seen yet, begin with what was measured of
  // `from`: for a new version of the same network. No effect if nothing was.
  void InheritPace(const std::string& model, const std::string& from);

  // Forgets a model on all workers. Nothing of it should be left or be submitted any more; what is
  // left ends with UNAVAILABLE. Batches in workers' hands must still be given back.
  void RemoveModel(const std::string& model);

  // Waits for work for this worker. nullopt: shut down, or the worker was removed.
  std::optional<StepBatch> NextBatch(WorkerId id);

  // As NextBatch, but never waits: nullopt also if there is nothing to run now. For simulations.
  std::optional<StepBatch> TryNextBatch(WorkerId id);

  // Takes a batch back; `status` is what StepExecutor::Step returned. Not OK: no task advanced;
  // each of its tasks is tried again alone, and after a few failures in a row its generation ends
  // with INTERNAL.
  void Complete(StepBatch batch, absl::Status status);

 private:
  explicit Engine(Options options);

  // Posts what a change leaves to be told, if anything, so that it is told in the order of the
  // changes.
  void Post(Effects& effects) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Does the rest of it.
  void Conclude(Effects effects) ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the metrics.
  void Count(const EngineCounts& counts) ABSL_LOCKS_EXCLUDED(mu_);
  void ReportDepth() ABSL_LOCKS_EXCLUDED(mu_, depth_mu_);

  const Options options_;

  absl::Mutex mu_;
  absl::CondVar work_;  // Signalled when NextBatch may find something new.
  std::unique_ptr<StepScheduler> scheduler_ ABSL_PT_GUARDED_BY(mu_);
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
  EngineMetrics::QueueDepth posted_depth_ ABSL_GUARDED_BY(mu_);  // With the last Post.

  // Held while the depth is read and reported, so that the last report is the newest.
  absl::Mutex depth_mu_ ABSL_ACQUIRED_BEFORE(mu_);

  Outbox outbox_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_ENGINE_H_
