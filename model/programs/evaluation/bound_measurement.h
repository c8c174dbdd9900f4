// What bpd and lossy have in common: a network before noised data, and the sums of its bound.
#ifndef DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_BOUND_MEASUREMENT_H_
#define DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_BOUND_MEASUREMENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/evaluation/bound_run.h"
#include "model/evaluation/bound_sums.h"
#include "model/evaluation/data_denoiser.h"
#include "model/programs/evaluation/evaluation_input.h"

namespace diffusiond {

struct ModelOnData {
  std::unique_ptr<PlanRunner> runner;
  std::unique_ptr<DataDenoiser> denoiser;  // Uses the runner and the input's data.
};

// `input` must outlive the result, where it is.
absl::StatusOr<ModelOnData> PutModelOnData(const EvaluationInput& input);

struct MeasuredBound {
  std::string label;  // On what: images, timesteps, seed.
  Bounds bounds;
};

// RunBound with a progress bar, its state in the file `state` of --out.
absl::StatusOr<MeasuredBound> MeasureBound(const EvaluationInput& input, const ModelOnData& model,
                                           int64_t timesteps_per_image, ByteDecoder decoder,
                                           const std::string& state);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_BOUND_MEASUREMENT_H_
