// Runs plans: many images at once, each at its own row of its own plan.
#ifndef DIFFUSIOND_MODEL_SAMPLING_PLAN_RUNNER_H_
#define DIFFUSIOND_MODEL_SAMPLING_PLAN_RUNNER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/sampling/denoiser.h"
#include "model/sampling/guidance.h"
#include "model/sampling/lane_pool.h"
#include "model/sampling/noise_classifier.h"
#include "model/sampling/row_noise.h"
#include "model/sampling/sampling_plan.h"
#include "model/sampling/starting_point.h"

namespace diffusiond {

// One image's part in one step.
struct PlanTask {
  // In.
  const SamplingPlan* plan = nullptr;
  int row = 0;
  uint64_t seed = 0;
  uint32_t image_index = 0;
  int64_t label = 0;       // The class; ignored by a denoiser without classes.
  int64_t null_label = 0;  // Used where `guidance` acts.
  Guidance guidance = {};
  const StartingPoint* start = nullptr;  // Null: the seed's noise.
  // The registers, plan->registers images, as the row before left them; empty: this is row 0.
  std::span<const float> before;
  bool keep_g = false;
  // Out.
  std::vector<float> after;   // The registers as this row leaves them. No part of `before`.
  std::vector<float> clean;   // D of this row.
  std::vector<float> g = {};  // With keep_g, G (sampling_plan.h); empty if the network gives none.
  absl::Status status;  // INTERNAL: F was not finite, G no variance; `after` is not to be used.
};

inline const PlanRow& RowOf(const PlanTask& task) {
  return task.plan->rows[static_cast<size_t>(task.row)];
}

// Thread-compatible: one caller at a time.
class PlanRunner {
 public:
  // One lane per denoiser: micro-batches of one step run on all lanes at once. All must have the
  // same shape, micro-batch and output channels; at least one. `classifiers`: none, or one per
  // lane, of that shape and micro-batch. `noise`: what rows that draw noise draw; empty:
  // FillRowNoise.
  static absl::StatusOr<std::unique_ptr<PlanRunner>> Create(
      std::vector<std::unique_ptr<Denoiser>> lanes,
      std::vector<std::unique_ptr<NoiseClassifier>> classifiers = {}, RowNoise noise = nullptr);
  // One denoiser for any number of rows, which computes on `pool` by itself; the rest of a step
  // does so as well. `classifiers`: none, or one per lane of the pool, for one row.
  static absl::StatusOr<std::unique_ptr<PlanRunner>> Create(
      std::unique_ptr<Denoiser> denoiser, std::shared_ptr<LanePool> pool,
      std::vector<std::unique_ptr<NoiseClassifier>> classifiers = {}, RowNoise noise = nullptr);

  ImageShape shape() const { return lanes_.front()->shape(); }
  int micro_batch() const { return lanes_.front()->micro_batch(); }
  bool has_classifier() const { return !classifiers_.empty(); }
  // Network passes that keep all lanes busy.
  int capacity() const { return lanes_.front()->capacity() * static_cast<int>(lanes_.size()); }

  // Advances every task by its plan row. Any number of tasks; their network passes are cut into
  // micro-batches, the last one padded, or put together. Not OK, no task advanced: what a network
  // failed with; FAILED_PRECONDITION: a task asks for the classifier that there is not.
  absl::Status Step(std::span<PlanTask> tasks);

 private:
  PlanRunner(std::vector<std::unique_ptr<Denoiser>> lanes, std::shared_ptr<LanePool> pool,
             std::vector<std::unique_ptr<NoiseClassifier>> classifiers, RowNoise noise);

  struct NetworkInput;
  struct Buffers;
  void Gather(std::span<PlanTask> tasks, Buffers* buffers) const;
  absl::Status Evaluate(Buffers* buffers);
  // Values of one pass of the denoiser's output: of F, and of G where there is one.
  size_t output_size() const;
  // `f_null` and `gradient`: empty where the task does not ask for them.
  void Update(PlanTask* task, std::span<float> output, std::span<const float> f_null,
              std::span<const float> gradient) const;

  std::vector<std::unique_ptr<Denoiser>> lanes_;
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers_;  // By lane; empty: none.
  const RowNoise noise_;
  const std::shared_ptr<LanePool> pool_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_PLAN_RUNNER_H_
