// The samplers: each compiles a SamplingPlan from a noise schedule and a few options.
#ifndef DIFFUSIOND_MODEL_SAMPLING_SAMPLER_H_
#define DIFFUSIOND_MODEL_SAMPLING_SAMPLER_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/diffusion/noise_schedule.h"
#include "model/sampling/sampling_options.h"
#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// What the checkpoint fixes.
struct ModelSchedule {
  NoiseSchedule schedule;  // Empty if `edm` is set.
  // Of EDM: no betas; the network is asked at sigma by 0.25 log(sigma).
  std::optional<EdmConfig> edm = std::nullopt;
  int64_t num_train_timesteps = 0;  // What `steps` may be at most.
  PredictionType prediction_type = PredictionType::kEpsilon;
  // kLearned or kLearnedRange: the network gives G too. Nothing: it does not.
  std::optional<Variance> learned_variance = std::nullopt;
  double clip_sample_range = 1;
  int64_t steps_offset = 0;
  bool set_alpha_to_one = true;  // Else the last DDIM or PNDM step goes to alpha_bar_0, not 1.
  // DPM-Solver++ begins at the first timestep with log(alpha / sigma) of at least this.
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();
  bool cosine = false;  // The schedule is squaredcos_cap_v2.
  // See SolverConfig.
  std::optional<double> sigma_min, sigma_max;
  bool log_linear = false;
  bool tells_log_sigma = false;  // The network is told log(sigma) / 4 in place of the timestep.
  std::vector<int64_t> disable_corrector;
};

// INVALID_ARGUMENT: as Validate and NoiseSchedule::Create.
absl::StatusOr<ModelSchedule> MakeModelSchedule(const SchedulerConfig& config);

// The options that a checkpoint's own scheduler stands for. Where no sampler here stands for its
// class (ClassDeparture), or one does not take what it asks for, they are the nearest; `warnings`,
// unless null, gets a sentence for each of the latter.
SamplingOptions DefaultSamplingOptions(const SchedulerConfig& config,
                                       std::vector<std::string>* warnings = nullptr);

// A sentence, if the sampler that draws for that scheduler class is not the class's own.
std::string ClassDeparture(const std::string& class_name);

struct Sampler {
  std::string name;
  std::string description;           // One line, with paper and equation.
  std::vector<std::string> options;  // It reads, of kSamplingOptions, beside the first three.
  // Words of SolverType that it knows, its default first; empty: reads none.
  std::vector<absl::string_view> solver_types;
  int64_t langevin_steps = 0;  // What it takes unless told; 0: reads none.
  // Steps from which it draws well; with fewer its images are noisy. 0: as few as any.
  int64_t least_steps = 0;
  bool runs_edm = false;  // Whether it takes a model without betas.
  absl::StatusOr<SamplingPlan> (*compile)(const ModelSchedule&, const SamplingOptions&);
  // A sentence if its options, though allowed, draw badly under so much guidance; null: none do.
  std::string (*advise)(const SamplingOptions&, double guidance_scale) = nullptr;
};

// `options` for the sampler of that name: what only another knows as solver_type becomes its first,
// and langevin_steps of 0 its own.
SamplingOptions ForSampler(const std::string& sampler, SamplingOptions options);

// What it takes of steps unless told. `defaults`: the model's, whose steps are made for its own
// sampler and are raised to what another needs.
int64_t DefaultSteps(const Sampler& sampler, const SamplingOptions& defaults,
                     int64_t num_train_timesteps);

// Null if there is none of that name.
const Sampler* FindSampler(absl::string_view name);

// Whether `sampler` reads the option of that name.
bool Reads(const Sampler& sampler, absl::string_view option);

// What of the option's range is left for `sampler`: of solver_type, those it has.
OptionSpec SpecFor(const Sampler& sampler, const OptionSpec& option);

// Options that differ only in what the sampler does not read become equal.
void ForgetUnreadOptions(const Sampler& sampler, SamplingOptions* options);

// Whether `sampler` takes the models of that configuration.
bool CanRun(const Sampler& sampler, const SchedulerConfig& config);

// The samplers of this build, by name.
std::span<const Sampler> Samplers();

// By the sampler that options.sampler names. INVALID_ARGUMENT names the option, its value and what
// is allowed, or the timestep at which the options give no finite step.
absl::StatusOr<SamplingPlan> CompilePlan(const ModelSchedule& model,
                                         const SamplingOptions& options);

// By `sampler`, whatever options.sampler says: also one that is not of this build.
absl::StatusOr<SamplingPlan> CompilePlan(const Sampler& sampler, const ModelSchedule& model,
                                         const SamplingOptions& options);

// One file each.
const Sampler& AnnealedLangevinSampler();
const Sampler& DdpmSampler();
const Sampler& DdimSampler();
const Sampler& DeisSampler();
const Sampler& DpmppSampler();
const Sampler& EulerSampler();
const Sampler& EulerAncestralSampler();
const Sampler& HeunSampler();
const Sampler& LmsSampler();
const Sampler& PndmSampler();
const Sampler& PredictorCorrectorSampler();
const Sampler& ProbabilityFlowSampler();
const Sampler& ReverseSdeSampler();
const Sampler& UniPcSampler();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_SAMPLER_H_
