// The engine's state and every change of it, without its lock, threads and clock.
#ifndef DIFFUSIOND_SERVER_ENGINE_STEP_SCHEDULER_H_
#define DIFFUSIOND_SERVER_ENGINE_STEP_SCHEDULER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/engine/generation.h"
#include "server/engine/policy.h"
#include "server/engine/step_batch.h"
#include "server/engine/trajectory.h"

namespace diffusiond {

// What a change leaves to be done once the lock is released: calls to listeners and to metrics, and
// destructors that may free device memory.
struct Aftermath {
  std::vector<std::shared_ptr<Generation>> to_deliver;  // Have events queued; may repeat.
  std::vector<std::unique_ptr<TrajectoryRegisters>> dropped;
  std::vector<absl::Duration> queue_waits;
  std::vector<absl::Status> finished;

  bool empty() const { return to_deliver.empty() && dropped.empty(); }
};

// Admission, choice of batches, and what becomes of rows that come back. Thread-compatible; never
// calls a listener, never destroys registers: both go into the Aftermath.
class StepScheduler {
 public:
  struct Limits {
    int max_trajectories = 1;
    int max_resident_trajectories = 1;  // Per model.
  };
  struct Depth {
    int waiting = 0;   // Have not begun.
    int resident = 0;  // Have begun, and hold registers or may.
  };

  explicit StepScheduler(Limits limits) : limits_(limits) {}

  // As Engine::Submit, but for draining.
  absl::StatusOr<GenerationId> Admit(GenerationSpec spec,
                                     std::shared_ptr<GenerationListener> listener, absl::Time now);

  // Ends a generation that has not ended yet.
  void End(GenerationId id, const absl::Status& reason, absl::Time now, Aftermath& aftermath);
  void EndAll(const absl::Status& reason, absl::Time now, Aftermath& aftermath);

  // Ends what is past its deadline.
  void ExpireDue(absl::Time now, Aftermath& aftermath);
  // Of all that live; InfiniteFuture if none has one.
  absl::Time NextDeadline() const;

  WorkerId AddWorker(std::vector<WorkerCapacity> models);
  void RemoveWorker(WorkerId id);
  bool HasWorker(WorkerId id) const { return workers_.contains(id); }

  // A batch for this worker; nullopt: nothing to run. Models that have work take turns.
  std::optional<StepBatch> Choose(WorkerId id, absl::Time now, Aftermath& aftermath);

  // Takes a batch back, as Engine::Complete.
  void Settle(StepBatch& batch, const absl::Status& status, absl::Time now, Aftermath& aftermath);

  Depth depth() const;

 private:
  struct Model {
    StepPolicy policy;
    uint64_t last_turn = 0;
    int generations = 0;
    int trajectories_in_flight = 0;
    int resident = 0;
  };

  struct Worker {
    std::vector<WorkerCapacity> models;
    bool idle = true;  // No batch in its hands.
  };

  void SetIdle(Worker& worker, bool idle);
  // Network rows that a worker should take now, so that the idle ones beside it get theirs.
  int Share(const WorkerCapacity& capacity, const Model& model) const;
  StepBatch BeginBatch(const WorkerCapacity& capacity, Model& model,
                       const std::vector<StepPolicy::Choice>& choices, absl::Time now,
                       Aftermath& aftermath);
  StepRow BeginRow(Trajectory& trajectory) const;
  void SettleRow(Model& model, Trajectory& trajectory, StepRow& row, absl::Time now,
                 Aftermath& aftermath);
  void SettleFailure(Model& model, Trajectory& trajectory, const absl::Status& status,
                     absl::Time now, Aftermath& aftermath);
  void QueueEvents(Trajectory& trajectory, StepRow& row) const;
  void PutBack(Model& model, Trajectory& trajectory);
  void Drop(Model& model, Trajectory& trajectory, Aftermath& aftermath);
  void Finish(std::shared_ptr<Generation> generation, const absl::Status& status, absl::Time now,
              Aftermath& aftermath);
  void ForgetIfIdle(const std::string& name);

  const Limits limits_;
  GenerationId last_id_ = 0;
  uint64_t turns_ = 0;
  int unfinished_trajectories_ = 0;
  int waiting_trajectories_ = 0;  // Of the unfinished, those that have not begun.
  std::map<GenerationId, std::shared_ptr<Generation>> generations_;  // Not ended.
  std::set<std::pair<absl::Time, GenerationId>> deadlines_;
  std::map<std::string, Model> models_;  // With generations or rows in flight.
  WorkerId last_worker_ = 0;
  std::map<WorkerId, Worker> workers_;
  std::map<std::string, int> idle_workers_;  // By the models that they serve.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_STEP_SCHEDULER_H_
