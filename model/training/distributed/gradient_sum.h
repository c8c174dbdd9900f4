// Sums gradients over processes while backward still computes others.
#ifndef DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_GRADIENT_SUM_H_
#define DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_GRADIENT_SUM_H_

#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "model/training/distributed/worker_group.h"

namespace diffusiond {

// The flat gradient is cut into buckets, the end first, as backward goes; a bucket's sum begins
// when the last of its parameters has its gradient (Li et al. 2020, "PyTorch Distributed"), in the
// same order in every process. The buckets are views: nothing is copied. Thread-compatible.
class GradientSum {
 public:
  static constexpr int64_t kBucketBytes = int64_t{4} << 20;

  // `gradient` is FlattenGradients of `module`, whose parameters outlive this with their hooks.
  GradientSum(torch::nn::Module* module, const torch::Tensor& gradient, WorkerGroup* workers,
              int64_t bucket_bytes = kBucketBytes);
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  // The next backward adds the last gradients of this step: sum what it finishes.
  void Arm();
  // After that backward: `gradient` then holds the sum, and so does `also`, which is on the same
  // device. Parameters that backward did not reach count as they are.
  absl::Status Finish(const torch::Tensor& also);

  size_t buckets() const;
  // Buckets whose sum has begun since Arm().
  size_t begun() const;

 private:
  struct Shared;
  const std::shared_ptr<Shared> shared_;  // With the hooks, which may outlive this.
  // Autograd holds these weakly; without them the hooks would go.
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_GRADIENT_SUM_H_
