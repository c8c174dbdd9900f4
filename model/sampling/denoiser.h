// The network, as everything but the trainer sees it.
#ifndef DIFFUSIOND_MODEL_SAMPLING_DENOISER_H_
#define DIFFUSIOND_MODEL_SAMPLING_DENOISER_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"

namespace diffusiond {

struct ImageShape {
  int channels = 0;
  int height = 0;
  int width = 0;

  int64_t elements() const { return int64_t{channels} * height * width; }
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

// As a micro-batch: any number of rows at once.
inline constexpr int kAnyRows = 0;

// F(x, t, label), and G where the network learned the variance, of several inputs at once. What an
// input gives must not depend on its position or on the others. Where it depends on their number,
// as numeric libraries' kernels round differently for different shapes, that number is fixed: the
// micro-batch. Thread-compatible: one caller at a time; different objects may share weights.
class Denoiser {
 public:
  virtual ~Denoiser() = default;

  virtual ImageShape shape() const = 0;
  // Rows of each call, or kAnyRows.
  virtual int micro_batch() const = 0;
  // Rows that are best asked together.
  virtual int capacity() const { return micro_batch(); }
  // C, or 2 C: F, then G (sampling_plan.h).
  virtual int output_channels() const { return shape().channels; }

  // x: [rows, C, H, W], f: [rows, output_channels(), H, W], in host memory. timesteps: [rows], may
  // be fractional. labels: [rows]; ignored by a network without classes. INTERNAL if the device
  // failed.
  virtual absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                               std::span<const int64_t> labels, std::span<float> f) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_DENOISER_H_
