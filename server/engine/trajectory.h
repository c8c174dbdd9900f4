// A generation while it lives in the engine, and its trajectories.
//
// Plain data. All of it belongs to the engine's lock, but for what a StepTask points to while its
// trajectory is running: that is the worker's.
#ifndef DIFFUSIOND_SERVER_ENGINE_TRAJECTORY_H_
#define DIFFUSIOND_SERVER_ENGINE_TRAJECTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/generation.h"
#include "server/engine/scheduling_policy.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

struct Generation;

// One image being drawn. Its whole state between two steps is here: (spec, next_row, registers).
struct Trajectory {
  enum class State {
    kWaiting,  // For its next step, in the policy's hands.
    kRunning,  // One step of it, in a worker's hands.
    kDone,     // Its image was delivered, or its generation ended.
  };

  Generation* generation = nullptr;
  const TrajectorySpec* spec = nullptr;  // In generation->spec.
  int image_index = 0;                   // Place in generation->spec.trajectories.
  State state = State::kWaiting;
  bool resident = false;  // From its first step until its registers are dropped.
  int next_row = 0;
  int extra_left = 0;  // Network passes of plan rows next_row and on, beyond one each.
  int steps_done = 0;
  int failed_attempts = 0;  // Device failures since the last step that worked.
  uint64_t worker = 0;      // That ran the last step; 0: none did.
  int64_t waits_since = 0;  // The model's full turns when it began to wait.
  std::shared_ptr<const TrajectoryRegisters> registers;  // After row next_row - 1.

  int rows_left() const { return static_cast<int>(spec->plan->rows.size()) - next_row; }
  const PlanRow& plan_row() const { return spec->plan->rows[static_cast<size_t>(next_row)]; }
  bool on_last_row() const { return rows_left() == 1; }
  // As the policy sees it.
  PolicyTrajectory for_policy() const {
    return {.image_index = image_index,
            .rows_left = rows_left(),
            .passes = NetworkPasses(spec->guidance, plan_row()),
            .resident = resident,
            .extra_left = extra_left};
  }
};

struct Generation {
  Generation(GenerationId id, GenerationSpec spec, absl::Time submitted)
      : id(id), spec(std::move(spec)), submitted(submitted) {}

  const GenerationId id;
  const GenerationSpec spec;
  const absl::Time submitted;
  int64_t submitted_batch = 0;              // The model's batch count then.
  std::optional<absl::Duration> predicted;  // From then to the end; nothing: no pace was known.
  std::optional<absl::Time> first_step;
  std::vector<Trajectory> trajectories;
  int images_left = 0;
  int64_t ended_batch = 0;  // The model's batch count when it ended early.
  bool ended = false;       // Finished was decided; tasks that come back are dropped.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_TRAJECTORY_H_
