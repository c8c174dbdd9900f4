// What a model makes of real images that were noised to given levels.
#ifndef DIFFUSIOND_MODEL_EVALUATION_DATA_DENOISER_H_
#define DIFFUSIOND_MODEL_EVALUATION_DATA_DENOISER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "model/diffusion/variational_bound.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sampling_plan.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// Image `image` of the data at timestep t.
struct NoisedImage {
  int64_t image = 0;
  int64_t t = 0;
};

struct DenoisedImage {
  std::vector<float> x0;      // [C, H, W] in [-1, 1].
  std::vector<float> x_t;     // sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps.
  std::vector<float> v;       // As VariationalBound takes it; empty unless the variance is learned.
  std::vector<float> x0_hat;  // The network's.
  std::vector<float> clipped;  // As the sampler takes it; empty unless the checkpoint's clips.
};

// Thread-compatible. eps depends on (seed, image, t) alone, so results do not depend on what is
// asked together.
class DataDenoiser {
 public:
  // `labels`: one an image of `data`; ignored by a network without classes. What is pointed to must
  // outlive this; `data` has the runner's shape.
  DataDenoiser(const ModelSchedule& model, const SamplingOptions& sampling,
               const VariationalBound& bound, const ImageDataset* data, std::vector<int64_t> labels,
               uint64_t seed, PlanRunner* runner);

  // In the order of `asked`. INTERNAL: a device failed, or gave values that are not finite.
  absl::StatusOr<std::vector<DenoisedImage>> Denoise(std::span<const NoisedImage> asked);

  const ImageDataset& data() const { return *data_; }
  const VariationalBound& bound() const { return bound_; }
  bool clips() const { return clips_; }

 private:
  const VariationalBound bound_;
  const ImageDataset* const data_;
  const std::vector<int64_t> labels_;
  const uint64_t seed_;
  const bool gives_variance_;  // Rather than its logarithm, or a share: diffusers' "learned".
  const bool clips_;
  PlanRunner* const runner_;
  SamplingPlan levels_;  // Row t evaluates the network at t, and leaves x as it is.
  SamplingPlan clip_;    // One row, which takes x for x0-hat and clips it.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_DATA_DENOISER_H_
