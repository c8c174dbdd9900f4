// How a row asks the network and reads its answer: everything of a PlanRow but the update.
#ifndef DIFFUSIOND_MODEL_SAMPLING_NETWORK_ROW_H_
#define DIFFUSIOND_MODEL_SAMPLING_NETWORK_ROW_H_

#include "model/sampling/sampler.h"
#include "model/sampling/sampling_plan.h"
#include "model/sampling/sigma_ladder.h"

namespace diffusiond {

// The register x is x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps.
PlanRow VariancePreservingRow(const ModelSchedule& model, const SamplingOptions& options,
                              double alpha_bar, double timestep);

// The register x is x_0 + sigma eps, sigma > 0. For a model of betas that is x_t over
// sqrt(alpha_bar), so that alpha_bar = 1 / (1 + sigma^2) (Karras et al. 2022, table 1, column VP);
// for a model of EDM the network is preconditioned as in column "Ours".
PlanRow VarianceExplodingRow(const ModelSchedule& model, const SamplingOptions& options,
                             double sigma, double timestep);

// The start of a plan on that ladder: no rows yet.
SamplingPlan LadderPlan(const ModelSchedule& model, const SamplingOptions& options,
                        const SigmaLadder& ladder, int registers);

// VarianceExplodingRow at step i of the ladder, for a row after which x stands at its next level.
PlanRow LadderRow(const ModelSchedule& model, const SamplingOptions& options,
                  const SigmaLadder& ladder, int i);

// What shows the register x of VarianceExplodingRow with a variance near 1.
double PreviewScale(double sigma);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_NETWORK_ROW_H_
