// The engine's state and every change of it, without its lock, threads and clock.
#ifndef DIFFUSIOND_SERVER_ENGINE_STEP_SCHEDULER_H_
#define DIFFUSIOND_SERVER_ENGINE_STEP_SCHEDULER_H_

#include <cstdint>
#include <deque>
#include <functional>
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
#include "server/engine/engine_event.h"
#include "server/engine/generation.h"
#include "server/engine/pace_meter.h"
#include "server/engine/queue_places.h"
#include "server/engine/scheduling_policy.h"
#include "server/engine/step_batch.h"
#include "server/engine/trajectory.h"
#include "server/engine/worker_table.h"

namespace diffusiond {

// What a change leaves to be done: events and counts are posted in the order of the changes, and
// what is dropped is destroyed once the lock is released, since it may free device memory.
struct Effects {
  std::vector<EngineEvent> events;
  EngineCounts counts;
  std::vector<std::shared_ptr<const void>> dropped;
  bool posted = false;  // There was something to tell.

  bool empty() const { return events.empty() && dropped.empty(); }
};

// Admission, choice of batches, and what becomes of tasks that come back. Thread-compatible; knows
// no listener and never destroys registers: both are the caller's, by the Effects.
class StepScheduler {
 public:
  struct Limits {
    QueuePlaces::Limits places;
    int max_resident_trajectories = 1;  // Per model.
  };
  // One for each model.
  using MakePolicy = std::function<std::unique_ptr<SchedulingPolicy>()>;

  StepScheduler(Limits limits, MakePolicy make_policy);

  // As Engine::Submit, but for draining.
  absl::StatusOr<GenerationId> Admit(GenerationSpec spec, absl::Time now);

  // Ends a generation that has not ended yet.
  void End(GenerationId id, const absl::Status& reason, absl::Time now, Effects& effects);
  void EndAll(const absl::Status& reason, absl::Time now, Effects& effects);

  // Ends what is past its deadline.
  void ExpireDue(absl::Time now, Effects& effects);
  // When a deadline passes or a policy may decide otherwise, if nothing else happens before.
  absl::Time NextWake() const;

  WorkerId AddWorker(std::vector<WorkerCapacity> models) { return workers_.Add(std::move(models)); }
  void RemoveWorker(WorkerId id) { workers_.Remove(id); }
  // As Engine's.
  void AddModel(WorkerId id, WorkerCapacity capacity) {
    workers_.AddModel(id, std::move(capacity));
  }
  void InheritPace(const std::string& model, const std::string& from);
  void RemoveModel(const std::string& model, absl::Time now, Effects& effects);
  bool HasWorker(WorkerId id) const { return workers_.Serves(id); }
  // As Engine::AbandonWorker.
  void AbandonWorker(WorkerId id, const absl::Status& reason, absl::Time now, Effects& effects);

  // A batch for this worker; nullopt: nothing to run. Models that have work take turns.
  std::optional<StepBatch> Choose(WorkerId id, absl::Time now, Effects& effects);

  // Takes a batch back, as Engine::Complete. False: its worker was abandoned meanwhile.
  bool Settle(StepBatch& batch, const absl::Status& status, absl::Time now, Effects& effects);

  EngineMetrics::QueueDepth depth() const;

 private:
  struct Model {
    std::unique_ptr<SchedulingPolicy> policy;
    PaceMeter meter;
    uint64_t last_turn = 0;
    int64_t batches = 0;
    // Batches after whose beginning no worker was idle: what still waits was passed over.
    int64_t full_turns = 0;
    int batches_in_hand = 0;
    int good_batches = 0;  // Since a device was out of memory, or the limit below was raised.
    bool removed = false;  // Forgotten once no worker has a batch of it in its hands.
    int resident = 0;
    int resident_limit = 1;
    // Were in a batch that a device failed. Each is tried again alone, so that one which breaks
    // devices ends nobody but itself. In flight, as the policy sees it.
    std::deque<std::shared_ptr<Trajectory>> retry_alone;
  };

  Model& ModelOf(const std::string& name);
  // A batch of the model came back, or never will.
  void NoteReturned(const std::string& name);
  // How fast the model's work goes beside what else there is.
  Pace PaceOf(const Model& model, const std::string& name) const;
  // When the generation would be finished; nothing if no pace is known.
  std::optional<absl::Duration> PredictTime(
      const Model& model, const std::string& name, const PolicyGeneration& generation,
      const std::vector<PolicyTrajectory>& trajectories) const;
  // When the request would have the room that it lacks; nothing if no pace is known.
  std::optional<absl::Duration> PredictFree(const QueuePlaces::Lack& lack,
                                            const GenerationSpec& spec) const;
  absl::Status CheckRoom(const GenerationSpec& spec) const;
  // Whether no model has anything to do.
  bool IsIdle() const;
  // As PredictTime, on a server that has nothing else to do. Of the pace that the model's steps
  // have of late, or of the best if that is doubted.
  absl::Duration TimeAlone(const Model& model, const std::string& name,
                           const std::vector<PolicyTrajectory>& trajectories, bool doubted) const;
  // A device of the model was out of memory, or did a batch well.
  void LowerResidents(Model& model, int micro_batch) const;
  void RaiseResidents(Model& model) const;
  absl::Status CheckDeadline(const Generation& generation, const PolicyGeneration& asked,
                             const std::vector<PolicyTrajectory>& trajectories,
                             absl::Time now) const;

  // Network passes that a worker should take now, so that the idle ones beside it get theirs.
  int Share(const WorkerCapacity& capacity, const Model& model) const;
  std::vector<std::shared_ptr<Trajectory>> ChooseTrajectories(const WorkerCapacity& capacity,
                                                              Model& model, absl::Time now);
  std::shared_ptr<Trajectory> NextToRetryAlone(Model& model);
  StepBatch BeginBatch(WorkerId worker, const WorkerCapacity& capacity, Model& model,
                       std::vector<std::shared_ptr<Trajectory>> trajectories, absl::Time now,
                       Effects& effects);
  void BeginTrajectory(WorkerId worker, Model& model, Trajectory& trajectory, absl::Time now,
                       Effects& effects);
  StepTask BeginStep(Trajectory& trajectory) const;
  void SettleStep(Model& model, const StepBatch& batch, Trajectory& trajectory, StepTask& task,
                  absl::Time now, Effects& effects);
  void SettleFailure(Model& model, const std::shared_ptr<Trajectory>& trajectory,
                     const absl::Status& status, absl::Time now, Effects& effects);
  void TellOfStep(const StepBatch& batch, Trajectory& trajectory, StepTask& task, absl::Time now,
                  Effects& effects) const;
  void Drop(Model& model, Trajectory& trajectory, Effects& effects);
  // Drops a row that comes back after its generation has ended.
  void DropLate(Model& model, Trajectory& trajectory, Effects& effects);
  void Finish(std::shared_ptr<Generation> generation, const absl::Status& status, absl::Time now,
              Effects& effects);

  const Limits limits_;
  const MakePolicy make_policy_;
  GenerationId last_id_ = 0;
  uint64_t turns_ = 0;
  QueuePlaces places_;            // Of trajectories that are not finished.
  int waiting_trajectories_ = 0;  // Of those, what has not begun.
  std::map<GenerationId, std::shared_ptr<Generation>> generations_;  // Not ended.
  std::set<std::pair<absl::Time, GenerationId>> deadlines_;
  std::map<std::string, Model> models_;  // All that were ever asked for.
  WorkerTable workers_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_STEP_SCHEDULER_H_
