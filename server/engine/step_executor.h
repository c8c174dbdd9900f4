// The engine's only view of a network and its device.
#ifndef DIFFUSIOND_SERVER_ENGINE_STEP_EXECUTOR_H_
#define DIFFUSIOND_SERVER_ENGINE_STEP_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model/imaging/image.h"
#include "model/sampling/guidance.h"
#include "model/sampling/sampling_plan.h"
#include "model/sampling/starting_point.h"

namespace diffusiond {

// What one image is drawn from; fixed for its life. Equal specs on equal models give equal bytes.
struct TrajectorySpec {
  std::shared_ptr<const SamplingPlan> plan;
  uint64_t seed = 0;
  uint32_t image_index = 0;
  std::optional<int> class_id;  // Absent: the null class, or a model without classes.
  Guidance guidance = {};
  std::shared_ptr<const StartingPoint> start = nullptr;  // Null: the seed's noise.
};

// A trajectory's registers between two steps, on some device. Opaque to the engine, which only owns
// and drops them.
class TrajectoryRegisters {
 public:
  virtual ~TrajectoryRegisters() = default;
};

// One trajectory's part in one step batch.
struct StepTask {
  // In.
  const TrajectorySpec* spec = nullptr;
  int plan_row = 0;  // The row of spec->plan to run now.
  bool want_x_t = false;
  bool want_x0_hat = false;
  // As the plan row before left them; null before the first one. Never changed: a step that fails,
  // or a worker that hangs in it, leaves a trajectory that any other worker can take up.
  std::shared_ptr<const TrajectoryRegisters> before;
  // Out.
  std::unique_ptr<TrajectoryRegisters> after;  // Set if the status is OK.
  absl::Status status;          // Not OK: this trajectory failed, the others did not.
  std::optional<Frame> x_t;     // After this plan row, times the plan's preview_scale; if wanted.
  std::optional<Frame> x0_hat;  // D of this plan row; if wanted.
};

// Runs step batches of one model on one device. Thread-compatible: one caller at a time.
class StepExecutor {
 public:
  virtual ~StepExecutor() = default;

  // Network passes that one Step call carries without padding: a multiple of the micro-batch, where
  // there is one. A task takes one network pass, where guidance acts up to kMaxPasses.
  virtual int capacity() const = 0;

  // Network passes of one network call, to which it is padded; kAnyRows (0): one call takes all.
  virtual int micro_batch() const = 0;

  // Advances every task by one plan row. Not OK: the device failed and no task advanced;
  // RESOURCE_EXHAUSTED: it is out of memory. The tasks' network passes must not exceed capacity().
  virtual absl::Status Step(absl::Span<StepTask> tasks) = 0;
};

inline int NetworkPasses(const StepTask& task) {
  return NetworkPasses(task.spec->guidance,
                       task.spec->plan->rows[static_cast<size_t>(task.plan_row)]);
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_STEP_EXECUTOR_H_
