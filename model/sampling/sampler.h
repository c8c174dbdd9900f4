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
#include "model/diffusion/noise_schedule.h"
#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// What a caller may choose, with nothing left open. A sampler ignores what its Sampler::options do
// not list.
struct SamplingOptions {
  std::string sampler = "ddpm";
  int64_t steps = 1000;  // 1 .. T.
  double eta = 0;        // 0 .. 1.
  // "fixed_small", "fixed_small_log", "fixed_large", "zero", or what
  // ModelSchedule::learned_variance says.
  std::string variance = "fixed_small";
  std::string timestep_spacing = "leading";  // See FractionalTimesteps.
  // "exact": the method of the paper. Or "diffusers": as diffusers 0.35 computes it where the two
  // differ, for those who compare; the samplers' files and timesteps.h say where.
  std::string arithmetic = "exact";
  // The part of the steps that is run, the last ones: of an image that starts from another. Above
  // 0, up to 1; rounded down, but at least one step must be left.
  double strength = 1;
  bool clip_sample = true;
  bool use_clipped_model_output = false;  // DDIM: take epsilon from the clipped D.

  // Dynamic thresholding of D, in place of clip_sample. See PlanRow::threshold_quantile.
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;  // The quantile, above 0, up to 1.
  double sample_max_value = 1;                // At least 1.

  // See sigma_ladder.h: "timesteps", "karras", "exponential" or "beta".
  std::string sigma_schedule = "timesteps";
  std::string final_sigmas_type = "zero";  // Or "sigma_min".
  // Euler's churn (Karras et al. 2022, algorithm 2). All at least 0; s_tmax may be infinite.
  double s_churn = 0;
  double s_tmin = 0;
  double s_tmax = std::numeric_limits<double>::infinity();
  double s_noise = 1;

  int64_t solver_order = 2;                    // 1 .. 3.
  std::string solver_type;                     // Empty: the first of the sampler's solver_types.
  std::string algorithm_type = "dpmsolver++";  // Or "sde-dpmsolver++".
  bool lower_order_final = true;               // The last steps of few take lower orders.
  bool euler_at_final = false;                 // The last step is of order 1.
  bool predict_x0 = true;                      // UniPC: interpolate D rather than epsilon.
  bool skip_prk_steps = false;                 // PNDM: start without Runge-Kutta steps.

  int64_t langevin_steps = 0;       // At each noise level, at least 1. 0: Sampler::langevin_steps.
  double langevin_step_size = 0.2;  // In parts of the level's noise variance: above 0, up to 2.

  friend bool operator==(const SamplingOptions&, const SamplingOptions&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const SamplingOptions& o) {
    h = H::combine(std::move(h), o.sampler, o.steps, o.eta, o.variance, o.timestep_spacing,
                   o.arithmetic, o.clip_sample, o.use_clipped_model_output, o.thresholding,
                   o.dynamic_thresholding_ratio, o.sample_max_value);
    return H::combine(std::move(h), o.sigma_schedule, o.final_sigmas_type, o.s_churn, o.s_tmin,
                      o.s_tmax, o.s_noise, o.solver_order, o.solver_type, o.algorithm_type,
                      o.lower_order_final, o.euler_at_final, o.predict_x0, o.skip_prk_steps,
                      o.langevin_steps, o.langevin_step_size, o.strength);
  }
};

// What the checkpoint fixes.
struct ModelSchedule {
  NoiseSchedule schedule;  // Empty if `edm` is set.
  // Of EDM: no betas; the network is asked at sigma by 0.25 log(sigma).
  std::optional<EdmConfig> edm = std::nullopt;
  int64_t num_train_timesteps = 0;  // What `steps` may be at most.
  PredictionType prediction_type = PredictionType::kEpsilon;
  // "learned" or "learned_range" (Nichol and Dhariwal 2021, equation 15): the network gives G too.
  // Empty: it does not.
  std::string learned_variance = "";
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
  std::string description;                // One line, with paper and equation.
  std::vector<std::string> options;       // Fields of SamplingOptions it reads, beside steps.
  std::vector<std::string> solver_types;  // That it knows, its default first; empty: reads none.
  int64_t langevin_steps = 0;             // What it takes unless told; 0: reads none.
  bool runs_edm = false;                  // Whether it takes a model without betas.
  absl::StatusOr<SamplingPlan> (*compile)(const ModelSchedule&, const SamplingOptions&);
};

// `options` for the sampler of that name: what only another knows as solver_type becomes its first,
// and langevin_steps of 0 its own.
SamplingOptions ForSampler(const std::string& sampler, SamplingOptions options);

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
