// What an image is drawn from: noise, or noise and another image.
#ifndef DIFFUSIOND_MODEL_SAMPLING_STARTING_POINT_H_
#define DIFFUSIOND_MODEL_SAMPLING_STARTING_POINT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// All are images of the model's shape, [C, H, W]; null: not used. Immutable once shared.
struct StartingPoint {
  using Values = std::shared_ptr<const std::vector<float>>;

  // x before row 0 is signal * image + noise * z of row 0 (Meng et al. 2022, SDEdit). Goes with a
  // plan compiled with a strength below 1.
  Values image = nullptr;
  // How much of `image` stays, 0 .. 1 at each value: before every row that part of x is what the
  // forward process makes of `image` there (Lugmayr et al. 2022, equation 8a), and in the end
  // `image` itself.
  Values keep = nullptr;
  // In place of the seed's z before row 0.
  Values noise = nullptr;
  // z before row 0 goes from the seed's (0) to this one's (1) on a great circle.
  std::optional<uint64_t> morph_seed = std::nullopt;
  double morph = 0;
};

// The noise that an image is drawn with.
struct NoiseKey {
  uint64_t seed = 0;
  uint32_t image_index = 0;
};

// x before row 0. `start` null: from the seed's noise.
void Begin(const StartingPoint* start, const SamplingPlan& plan, NoiseKey key, std::span<float> x);

// Puts what `start` keeps into x, which stands before row `row` of the plan, or behind its last.
void KeepKnown(const StartingPoint* start, const SamplingPlan& plan, int row, NoiseKey key,
               std::span<float> x);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_STARTING_POINT_H_
