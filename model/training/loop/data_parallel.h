// The processes that train one network together, as one of them sees them.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_DATA_PARALLEL_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_DATA_PARALLEL_H_

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "model/training/distributed/gradient_sum.h"
#include "model/training/distributed/worker_group.h"
#include "model/training/loop/step_outcome.h"
#include "model/training/run/training_state.h"

namespace diffusiond {

// Each computes an equal share of every batch's images, in order of rank, and takes the same step.
// One alone tells nobody anything. All call the same methods in the same order; UNAVAILABLE from
// any of them: a process was lost. Thread-compatible.
class DataParallel {
 public:
  // Null: alone. `workers` must outlive this.
  explicit DataParallel(WorkerGroup* workers) : workers_(workers) {}

  int64_t rank() const { return workers_ == nullptr ? 0 : workers_->rank(); }
  int64_t size() const { return workers_ == nullptr ? 1 : workers_->size(); }

  // INVALID_ARGUMENT: the batch cannot be cut into equal shares of `accumulate` equal pieces.
  absl::Status CheckDivides(int64_t batch_size, int64_t accumulate) const;

  // Gives all rank 0's state. `ready`: whether this process can begin; none does unless all can
  // (see WorkerGroup::AgreeOk). FAILED_PRECONDITION: the run's fingerprints differ.
  absl::Status ShareState(const absl::Status& ready, const std::string& fingerprint,
                          TrainingState* state);

  // From then on steps add up `gradient`, which is FlattenGradients of `trained`, whose parameters
  // outlive this.
  void SumGradients(torch::nn::Module* trained, const torch::Tensor& gradient);
  // The next backward is this process's last of the step: what it finishes is summed meanwhile.
  void BeforeLastBackward();
  // After it. The outcome of a share becomes that of the batch of so many images, but for
  // `gradient_norm` and `waited`, which stay as they are; the gradient becomes the sum.
  absl::Status FinishStep(int64_t batch_size, StepOutcome* outcome);

 private:
  WorkerGroup* const workers_;
  std::unique_ptr<GradientSum> sum_;  // Null: alone.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_DATA_PARALLEL_H_
