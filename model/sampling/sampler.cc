#include "model/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diffusiond {

namespace {

struct ClassSampler {
  const char* class_name;
  const char* sampler;
  const char* departure = nullptr;  // Where the sampler is not the class's own.
};

// Those left open in their scheduler's configuration is how many steps to take: the peer's
// pipelines have 1000 for DDPM, and 50 for the others.
constexpr int64_t kSolverSteps = 50;
constexpr ClassSampler kClassSamplers[] = {
    {"DDPMScheduler", "ddpm"},
    {"DDPMParallelScheduler", "ddpm"},
    {"DDIMScheduler", "ddim"},
    {"DDIMParallelScheduler", "ddim"},
    {"DDIMInverseScheduler", "ddim", "turns images into noise; drawn with ddim"},
    {"DEISMultistepScheduler", "deis"},
    {"DPMSolverMultistepScheduler", "dpmpp"},
    {"DPMSolverSinglestepScheduler", "dpmpp",
     "takes a step's evaluations at points between; drawn with dpmpp, which is multistep"},
    {"DPMSolverSDEScheduler", "dpmpp",
     "has two evaluations a step; drawn with dpmpp by sde-dpmsolver++, one a step"},
    {"EDMEulerScheduler", "euler"},
    {"EulerAncestralDiscreteScheduler", "euler_ancestral"},
    {"EulerDiscreteScheduler", "euler"},
    {"HeunDiscreteScheduler", "heun"},
    {"KDPM2AncestralDiscreteScheduler", "euler_ancestral",
     "has two evaluations a step; drawn with euler_ancestral"},
    {"KDPM2DiscreteScheduler", "heun", "has its second evaluation midway; drawn with heun"},
    {"LMSDiscreteScheduler", "lms"},
    {"PNDMScheduler", "pndm"},
    {"SASolverScheduler", "dpmpp",
     "is a stochastic Adams method; drawn with dpmpp by "
     "sde-dpmsolver++"},
    {"UniPCMultistepScheduler", "unipc"},
};

// Whether the class is drawn by the SDE form of dpmpp.
bool IsSde(const std::string& class_name) {
  return class_name == "DPMSolverSDEScheduler" || class_name == "SASolverScheduler";
}

// Replaces what dpmpp does not have.
void AdaptDpmpp(const SchedulerConfig& config, SamplingOptions* options,
                const std::function<void(const std::string&)>& warn) {
  if (IsSde(config.class_name)) {
    options->algorithm_type = "sde-dpmsolver++";
    return;
  }
  const std::string asked = options->algorithm_type;
  if (asked == "dpmsolver" || asked == "sde-dpmsolver") {
    options->algorithm_type = asked + "++";
    warn(absl::StrCat("algorithm_type is ", asked, ", which has no last step to the image: ",
                      options->algorithm_type, " is taken"));
  }
  if (options->algorithm_type == "sde-dpmsolver++" && options->solver_order > 2) {
    options->solver_order = 2;
    warn(
        "solver_order is 3 with sde-dpmsolver++, whose third order enlarges its own noise: 2 is "
        "taken");
  }
}

// The same of unipc, whose last step to sigma 0 is not finite otherwise.
void AdaptUniPc(SamplingOptions* options, const std::function<void(const std::string&)>& warn) {
  if (options->final_sigmas_type != "zero") return;
  const auto replace = [&warn](const char* field, const char* asked, const char* taken) {
    warn(absl::StrCat(field, " is ", asked,
                      ", with which the last step to the image is not finite: ", taken,
                      " is taken"));
  };
  if (options->solver_type == "bh1") {
    options->solver_type = "bh2";
    replace("solver_type", "bh1", "bh2");
  }
  if (!options->predict_x0) {
    options->predict_x0 = true;
    replace("predict_x0", "false", "true");
  }
  if (!options->lower_order_final) {
    options->lower_order_final = true;
    replace("lower_order_final", "false", "true");
  }
}

absl::Status CheckArithmetic(const SamplingOptions& options) {
  if (options.arithmetic == "exact" || options.arithmetic == "diffusers") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("arithmetic is \"", options.arithmetic, "\"; it must be exact or diffusers"));
}

absl::Status CheckThresholding(const SamplingOptions& options) {
  if (!options.thresholding) return absl::OkStatus();
  if (!(options.dynamic_thresholding_ratio > 0 && options.dynamic_thresholding_ratio <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("dynamic_thresholding_ratio is ",
                                                   options.dynamic_thresholding_ratio,
                                                   "; it must be above 0, up to 1"));
  }
  if (!(options.sample_max_value >= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sample_max_value is ", options.sample_max_value, "; it must be at least 1"));
  }
  return absl::OkStatus();
}

// Whatever formula divided by zero: no image comes of it.
absl::Status CheckFinite(const SamplingPlan& plan, const SamplingOptions& options) {
  for (const PlanRow& row : plan.rows) {
    const double sum = std::accumulate(row.update.begin(), row.update.end(),
                                       row.timestep + row.c_in + row.d_x + row.d_f + row.d_z);
    if (std::isfinite(sum)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("sampler ", options.sampler, " has no finite step at timestep ", row.timestep,
                     " with steps ", options.steps, " and timestep_spacing ",
                     options.timestep_spacing, " on this model's noise schedule"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelSchedule> MakeModelSchedule(const SchedulerConfig& config) {
  absl::StatusOr<NoiseSchedule> schedule =
      config.is_edm() ? NoiseSchedule() : NoiseSchedule::Create(config);
  if (!schedule.ok()) return schedule.status();
  if (absl::Status status = Validate(config); !status.ok()) return status;
  absl::StatusOr<PredictionType> prediction = ParsePredictionType(config.prediction_type);
  if (!prediction.ok()) return prediction.status();
  return ModelSchedule{.schedule = *std::move(schedule),
                       .edm = config.is_edm() ? std::optional(config.edm) : std::nullopt,
                       .num_train_timesteps = config.num_train_timesteps,
                       .prediction_type = *prediction,
                       .learned_variance = config.learns_variance() ? config.variance_type : "",
                       .clip_sample_range = config.clip_sample_range,
                       .steps_offset = config.steps_offset,
                       .set_alpha_to_one = config.set_alpha_to_one,
                       .lambda_min_clipped = config.solver.lambda_min_clipped,
                       .cosine = config.beta_schedule == "squaredcos_cap_v2",
                       .sigma_min = config.solver.sigma_min,
                       .sigma_max = config.solver.sigma_max,
                       .log_linear = config.solver.interpolation_type == "log_linear",
                       .tells_log_sigma = config.tells_log_sigma(),
                       .disable_corrector = config.solver.disable_corrector};
}

SamplingOptions DefaultSamplingOptions(const SchedulerConfig& config,
                                       std::vector<std::string>* warnings) {
  const std::function<void(const std::string&)> warn = [&](const std::string& text) {
    if (warnings != nullptr) warnings->push_back(absl::StrCat("scheduler: ", text));
  };
  SamplingOptions options;
  options.steps = config.num_train_timesteps;
  for (const ClassSampler& entry : kClassSamplers) {
    if (config.class_name != entry.class_name) continue;
    options.sampler = entry.sampler;
  }
  if (options.sampler != "ddpm") options.steps = std::min(options.steps, kSolverSteps);
  options.variance = config.variance_type;
  if (options.variance == "fixed_large_log") {
    options.variance = "fixed_large";
    warn("variance_type is fixed_large_log, with which diffusers draws NaN: fixed_large is taken");
  }
  options.timestep_spacing = config.timestep_spacing;
  options.clip_sample = config.clip_sample;
  options.thresholding = config.thresholding;
  options.dynamic_thresholding_ratio = config.dynamic_thresholding_ratio;
  options.sample_max_value = config.sample_max_value;
  const SolverConfig& solver = config.solver;
  options.sigma_schedule = solver.sigma_schedule;
  if (solver.interpolation_type == "log_linear" && options.sigma_schedule == "timesteps") {
    options.sigma_schedule = "exponential";
    warn(
        "interpolation_type is log_linear: the steps end at the image, where diffusers' stop at "
        "the least sigma, and the network is told the timesteps of their sigmas");
  }
  options.final_sigmas_type = solver.final_sigmas_type;
  options.solver_order = solver.solver_order;
  options.solver_type = solver.solver_type;
  options.algorithm_type = solver.algorithm_type;
  options.lower_order_final = solver.lower_order_final;
  options.euler_at_final = solver.euler_at_final;
  options.predict_x0 = solver.predict_x0;
  options.skip_prk_steps = solver.skip_prk_steps;
  if (options.sampler == "dpmpp") AdaptDpmpp(config, &options, warn);
  if (options.sampler == "unipc") AdaptUniPc(&options, warn);
  if (options.algorithm_type != "sde-dpmsolver++") options.algorithm_type = "dpmsolver++";
  const std::string sampler = options.sampler;
  return ForSampler(sampler, std::move(options));
}

std::string ClassDeparture(const std::string& class_name) {
  for (const ClassSampler& entry : kClassSamplers) {
    if (class_name != entry.class_name || entry.departure == nullptr) continue;
    return absl::StrCat("scheduler: ", class_name, " ", entry.departure);
  }
  return "";
}

SamplingOptions ForSampler(const std::string& sampler, SamplingOptions options) {
  options.sampler = sampler;
  for (const Sampler& known : Samplers()) {
    if (known.name != sampler) continue;
    if (options.langevin_steps == 0) options.langevin_steps = known.langevin_steps;
    const std::vector<std::string>& types = known.solver_types;
    if (types.empty()) continue;
    if (std::find(types.begin(), types.end(), options.solver_type) == types.end()) {
      options.solver_type = types.front();
    }
  }
  return options;
}

bool CanRun(const Sampler& sampler, const SchedulerConfig& config) {
  return sampler.runs_edm || !config.is_edm();
}

std::span<const Sampler> Samplers() {
  static const auto& samplers = *new std::vector<Sampler>{AnnealedLangevinSampler(),
                                                          DdimSampler(),
                                                          DdpmSampler(),
                                                          DeisSampler(),
                                                          DpmppSampler(),
                                                          EulerSampler(),
                                                          EulerAncestralSampler(),
                                                          HeunSampler(),
                                                          LmsSampler(),
                                                          PndmSampler(),
                                                          PredictorCorrectorSampler(),
                                                          ProbabilityFlowSampler(),
                                                          ReverseSdeSampler(),
                                                          UniPcSampler()};
  return samplers;
}

absl::StatusOr<SamplingPlan> CompilePlan(const Sampler& sampler, const ModelSchedule& model,
                                         const SamplingOptions& asked) {
  if (model.edm.has_value() && !sampler.runs_edm) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sampler ", sampler.name, " needs a noise schedule of betas; a model of EDM has none"));
  }
  if (absl::Status status = CheckArithmetic(asked); !status.ok()) return status;
  if (absl::Status status = CheckThresholding(asked); !status.ok()) return status;
  SamplingOptions options = asked;
  options.sampler = sampler.name;
  if (options.solver_type.empty() && !sampler.solver_types.empty()) {
    options.solver_type = sampler.solver_types.front();
  }
  if (options.langevin_steps == 0) options.langevin_steps = sampler.langevin_steps;
  absl::StatusOr<SamplingPlan> plan = sampler.compile(model, options);
  if (!plan.ok()) return plan;
  if (absl::Status status = CheckFinite(*plan, options); !status.ok()) return status;
  return plan;
}

absl::StatusOr<SamplingPlan> CompilePlan(const ModelSchedule& model,
                                         const SamplingOptions& options) {
  std::vector<std::string> names;
  for (const Sampler& sampler : Samplers()) {
    if (sampler.name == options.sampler) return CompilePlan(sampler, model, options);
    names.push_back(sampler.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("sampler is \"", options.sampler,
                                                 "\"; it must be ", absl::StrJoin(names, " or ")));
}

}  // namespace diffusiond
