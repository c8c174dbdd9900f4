// Runs one row of a plan for one image: from the network's output to the new registers.
#ifndef DIFFUSIOND_MODEL_SAMPLING_PLAN_UPDATE_H_
#define DIFFUSIOND_MODEL_SAMPLING_PLAN_UPDATE_H_

#include <span>

#include "absl/status/status.h"
#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// Scales z as the row says by g, of z's size; leaves it alone in a row of NoiseScale::kOne.
// INTERNAL if an element of G is no variance, or g is empty where the row needs it.
absl::Status ScaleRowNoise(const PlanRow& row, std::span<const float> g, std::span<float> z);

// registers: plan.registers images of f.size() values, one after the other, updated in place.
// f: the network's output F. z: noise, scaled by ScaleRowNoise, or empty for a row that draws none.
// d: receives D. Each value is computed in double from this image alone, so it does not depend on
// the batch.
void ApplyPlanRow(const SamplingPlan& plan, const PlanRow& row, std::span<const float> f,
                  std::span<const float> z, std::span<float> registers, std::span<float> d);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_PLAN_UPDATE_H_
