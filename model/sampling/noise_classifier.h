// A classifier of noised images, as whoever runs plans sees it: what classifier guidance needs.
#ifndef DIFFUSIOND_MODEL_SAMPLING_NOISE_CLASSIFIER_H_
#define DIFFUSIOND_MODEL_SAMPLING_NOISE_CLASSIFIER_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "model/sampling/denoiser.h"

namespace diffusiond {

// The gradient, by the image, of log p(label | x, t) (Dhariwal and Nichol 2021, section 4). As with
// a Denoiser, the number of inputs is fixed, and what one gives must not depend on its position
// or on the others. Thread-compatible: one caller at a time; different objects may share
// weights.
class NoiseClassifier {
 public:
  virtual ~NoiseClassifier() = default;

  virtual ImageShape shape() const = 0;
  virtual int micro_batch() const = 0;

  // x: [micro_batch, C, H, W], what the denoiser is given at `timesteps`: [micro_batch], may be
  // fractional. labels: [micro_batch], classes. gradient: [micro_batch, C, H, W]. All in host
  // memory. INTERNAL if the device failed.
  virtual absl::Status Gradient(std::span<const float> x, std::span<const float> timesteps,
                                std::span<const int64_t> labels, std::span<float> gradient) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_NOISE_CLASSIFIER_H_
