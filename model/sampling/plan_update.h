// Runs one row of a plan for one image: from the network's output to the new registers.
#ifndef DIFFUSIOND_MODEL_SAMPLING_PLAN_UPDATE_H_
#define DIFFUSIOND_MODEL_SAMPLING_PLAN_UPDATE_H_

#include <span>

#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// registers: plan.registers images of f.size() values, one after the other, updated in place.
// f: the network's output F. z: noise, or empty for a row that draws none. d: receives D.
// Each value is computed in double from this image alone, so it does not depend on the batch.
void ApplyPlanRow(const SamplingPlan& plan, const PlanRow& row, std::span<const float> f,
                  std::span<const float> z, std::span<float> registers, std::span<float> d);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_PLAN_UPDATE_H_
