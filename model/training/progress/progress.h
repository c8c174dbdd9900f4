// What training tells about itself while it runs, and to whom.
#ifndef DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_H_
#define DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Timesteps 0 .. T - 1 are cut into this many equal ranges, of noise levels rising from the first.
inline constexpr size_t kLossLevels = 10;

// Since the point before, unless it says otherwise.
struct ProgressPoint {
  int64_t step = 0;
  int64_t total_steps = 0;
  int64_t images = 0;                                            // Since step 0, with repetitions.
  double loss = 0;                                               // Mean over the steps.
  std::array<std::optional<double>, kLossLevels> loss_by_level;  // Mean over the images of a range.
  std::optional<double> held_out_loss;  // Of the EMA weights, at its last measurement.
  double learning_rate = 0;
  double gradient_norm = 0;  // Before clipping, of this step.
  double images_per_second = 0;
  double waiting_share = 0;   // Of the steps' time: waiting for the next batch.
  int64_t skipped_steps = 0;  // Since step 0: their loss was not finite.
  absl::Duration left;        // Until the last step, at this pace.
  absl::Time time;
};

// Told by the trainer, on its thread, which waits: so be quick. What a sink cannot do does not fail
// the run.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void OnPoint(const ProgressPoint& point) = 0;
  // A sheet of images drawn from the EMA weights.
  virtual void OnSamples(int64_t /*step*/, const Image& /*sheet*/) {}
  // A save of the state after `step` succeeded, or did not.
  virtual void OnSave(int64_t /*step*/, bool /*ok*/) {}
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_H_
