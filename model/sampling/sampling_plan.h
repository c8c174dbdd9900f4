// A sampler, compiled: what to do at each network evaluation, known before the first one.
//
// Every sampler of the family is linear, per evaluation, in a few image-shaped registers once the
// network's output F is turned into D, the estimate of the clean image. So a sampler is a function
// (NoiseSchedule, SamplingOptions) -> SamplingPlan, and whoever runs plans knows no sampler.
//
//   F = network(c_in * x, timestep)
//   D = clip(d_x * x + d_f * F + d_z * z)
//   [x, saved...] = update * [x, saved..., D, F, z],  z ~ N(0, I) from RowNoise
//
// A network that learned the variance gives, for each element of F, a G that scales the element of
// z in rows that say so.
//
// Plain data, no tensors.
#ifndef DIFFUSIOND_MODEL_SAMPLING_SAMPLING_PLAN_H_
#define DIFFUSIOND_MODEL_SAMPLING_SAMPLING_PLAN_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace diffusiond {

// Registers that a plan may have: PNDM with its Runge-Kutta start needs 6.
inline constexpr int kMaxRegisters = 8;

// What G makes of z before the row uses it.
enum class NoiseScale {
  kOne,          // Nothing.
  kLogVariance,  // z * exp((log_variance + log_variance_g * G) / 2).
  kVariance,     // z * sqrt(G).
};

// One network evaluation of one image.
struct PlanRow {
  double timestep = 0;  // What the network is told; may be fractional.
  double c_in = 1;      // Scale of x on entering the network.
  // x stands for signal * x_0 + noise * z.
  double signal = 1;
  double noise = 0;
  double d_x = 0;  // D = d_x * x + d_f * F, before clipping.
  double d_f = 0;
  double d_z = 0;
  // D is clamped to [-clip_range, clip_range]; infinity means it is not.
  double clip_range = 0;
  // Dynamic thresholding in place of the clamp (Saharia et al. 2022, section 2.3): with s this
  // quantile of |D| over the image, limited to 1 .. threshold_max, D = clamp(D, -s, s) / s. 0:
  // none.
  double threshold_quantile = 0;
  double threshold_max = 1;
  // Row-major [registers, registers + 3]: new registers from [x, saved..., D, F, z].
  std::vector<double> update;
  // Whether d_z or column z of `update` has a non-zero entry: rows without noise draw none.
  bool draws_noise = false;
  NoiseScale noise_scale = NoiseScale::kOne;
  double log_variance = 0;
  double log_variance_g = 0;
  // A preview of x_t shows preview_scale * x, x after this row: 1 where x keeps variance near 1.
  double preview_scale = 1;
  // The timestep that x stands at after this row; 0 after the last.
  double next_timestep = 0;
  // Whether this row completes a step of the sampler (a two-evaluation sampler has rows that do
  // not).
  bool ends_step = true;
};

// The noise level of Karras et al. 2022; infinite where nothing is left of x_0.
inline double Sigma(const PlanRow& row) {
  return row.signal > 0 ? row.noise / row.signal : std::numeric_limits<double>::infinity();
}

struct SamplingPlan {
  // Image-shaped registers: x, then what the sampler saves between rows, zero before row 0.
  // 1 .. kMaxRegisters.
  int registers = 1;
  // x before row 0 is init_scale * z.
  double init_scale = 1;
  std::vector<PlanRow> rows;
  int steps = 0;  // Rows with ends_step.
};

// Number of the row noise stream that makes x before row 0; row r of a plan draws from stream r.
inline constexpr uint32_t kInitialNoiseRow = 0xFFFFFFFFu;

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_SAMPLING_PLAN_H_
