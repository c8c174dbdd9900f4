// The samplers: each compiles a SamplingPlan from a noise schedule and a few options.
#ifndef DIFFUSIOND_MODEL_SAMPLING_SAMPLER_H_
#define DIFFUSIOND_MODEL_SAMPLING_SAMPLER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/diffusion/noise_schedule.h"
#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// What a caller may choose, with nothing left open. A sampler ignores what its Sampler::options do
// not list.
struct SamplingOptions {
  std::string sampler = "ddpm";
  int64_t steps = 1000;                      // 1 .. T.
  double eta = 0;                            // 0 .. 1.
  std::string variance = "fixed_small";      // "fixed_small", "fixed_large" or "zero".
  std::string timestep_spacing = "leading";  // See SpacedTimesteps.
  bool clip_sample = true;
  bool use_clipped_model_output = false;  // DDIM: take epsilon from the clipped D.

  friend bool operator==(const SamplingOptions&, const SamplingOptions&) = default;
};

// What the checkpoint fixes.
struct ModelSchedule {
  NoiseSchedule schedule;
  PredictionType prediction_type = PredictionType::kEpsilon;
  double clip_sample_range = 1;
  int64_t steps_offset = 0;
  bool set_alpha_to_one = true;  // Else the last DDIM step goes to alpha_bar_0 instead of 1.
};

// UNIMPLEMENTED: thresholding, learned variance.
absl::StatusOr<ModelSchedule> MakeModelSchedule(const SchedulerConfig& config);

// The options that a checkpoint's own scheduler stands for.
SamplingOptions DefaultSamplingOptions(const SchedulerConfig& config);

struct Sampler {
  std::string name;
  std::string description;           // One line, with paper and equation.
  std::vector<std::string> options;  // Fields of SamplingOptions it reads, beside steps.
  absl::StatusOr<SamplingPlan> (*compile)(const ModelSchedule&, const SamplingOptions&);
};

// The samplers of this build, by name.
std::span<const Sampler> Samplers();

// INVALID_ARGUMENT names the option, its value and what is allowed.
absl::StatusOr<SamplingPlan> CompilePlan(const ModelSchedule& model,
                                         const SamplingOptions& options);

// One file each.
const Sampler& DdpmSampler();
const Sampler& DdimSampler();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_SAMPLER_H_
