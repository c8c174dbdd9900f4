#include "model/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/status/status_macros.h"

namespace diffusiond {

namespace {

struct ClassSampler {
  const char* class_name;
  const char* sampler;
  const char* departure = nullptr;  // Where the sampler is not the class's own.
};

// Those left open in their scheduler's configuration is how many steps to take: diffusers'
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

// What the word stands for; what none of ours has stays.
template <typename Choice>
void Take(const std::string& word, Choice* choice) {
  *choice = FromWord<Choice>(word).value_or(*choice);
}

// Replaces what dpmpp does not have.
void AdaptDpmpp(const SchedulerConfig& config, SamplingOptions* options,
                const std::function<void(const std::string&)>& warn) {
  if (IsSde(config.class_name)) {
    options->algorithm_type = DpmAlgorithm::kSde;
    return;
  }
  const std::string& asked = config.solver.algorithm_type;
  const bool lacks_end = asked == "dpmsolver" || asked == "sde-dpmsolver";
  options->algorithm_type =
      FromWord<DpmAlgorithm>(lacks_end ? asked + "++" : asked).value_or(DpmAlgorithm::kOde);
  if (lacks_end) {
    warn(absl::StrCat("algorithm_type is ", asked, ", which has no last step to the image: ",
                      WordOf(options->algorithm_type), " is taken"));
  }
  if (options->algorithm_type == DpmAlgorithm::kSde && options->solver_order > 2) {
    options->solver_order = 2;
    warn(
        "solver_order is 3 with sde-dpmsolver++, whose third order enlarges its own noise: 2 is "
        "taken");
  }
}

// The same of unipc, whose last step to sigma 0 is not finite otherwise.
void AdaptUniPc(SamplingOptions* options, const std::function<void(const std::string&)>& warn) {
  if (options->final_sigmas_type != FinalSigmas::kZero) return;
  const auto replace = [&warn](const char* field, const char* asked, const char* taken) {
    warn(absl::StrCat(field, " is ", asked,
                      ", with which the last step to the image is not finite: ", taken,
                      " is taken"));
  };
  if (options->solver_type == SolverType::kBh1) {
    options->solver_type = SolverType::kBh2;
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

// Of what the sampler reads beside the first three, which need the model, against the table.
absl::Status CheckOptions(const Sampler& sampler, const SamplingOptions& options) {
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    if (!absl::c_linear_search(sampler.options, option.name)) continue;
    const std::string fault = FaultOf(SpecFor(sampler, option), option.get(options));
    if (!fault.empty()) return absl::InvalidArgumentError(absl::StrCat(option.name, ": ", fault));
  }
  return absl::OkStatus();
}

// The first three of kSamplingOptions.
bool IsReadByAll(absl::string_view option) {
  return option == "sampler" || option == "steps" || option == "strength";
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
                     WordOf(options.timestep_spacing), " on this model's noise schedule"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelSchedule> MakeModelSchedule(const SchedulerConfig& config) {
  ASSIGN_OR_RETURN(NoiseSchedule schedule,
                   config.is_edm() ? NoiseSchedule() : NoiseSchedule::Create(config));
  RETURN_IF_ERROR(Validate(config));
  ASSIGN_OR_RETURN(PredictionType prediction, ParsePredictionType(config.prediction_type));
  return ModelSchedule{.schedule = std::move(schedule),
                       .edm = config.is_edm() ? std::optional(config.edm) : std::nullopt,
                       .num_train_timesteps = config.num_train_timesteps,
                       .prediction_type = prediction,
                       .learned_variance = config.learns_variance()
                                               ? FromWord<Variance>(config.variance_type)
                                               : std::nullopt,
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
  options.variance = FromWord<Variance>(config.variance_type).value_or(Variance::kFixedLarge);
  if (config.variance_type == "fixed_large_log") {
    warn("variance_type is fixed_large_log, with which diffusers draws NaN: fixed_large is taken");
  }
  Take(config.timestep_spacing, &options.timestep_spacing);
  options.clip_sample = config.clip_sample;
  options.thresholding = config.thresholding;
  options.dynamic_thresholding_ratio = config.dynamic_thresholding_ratio;
  options.sample_max_value = config.sample_max_value;
  const SolverConfig& solver = config.solver;
  Take(solver.sigma_schedule, &options.sigma_schedule);
  if (solver.interpolation_type == "log_linear" &&
      options.sigma_schedule == SigmaSchedule::kTimesteps) {
    options.sigma_schedule = SigmaSchedule::kExponential;
    warn(
        "interpolation_type is log_linear: the steps end at the image, where diffusers' stop at "
        "the least sigma, and the network is told the timesteps of their sigmas");
  }
  Take(solver.final_sigmas_type, &options.final_sigmas_type);
  options.solver_order = solver.solver_order;
  Take(solver.solver_type, &options.solver_type);
  options.lower_order_final = solver.lower_order_final;
  options.euler_at_final = solver.euler_at_final;
  options.predict_x0 = solver.predict_x0;
  options.skip_prk_steps = solver.skip_prk_steps;
  if (options.sampler == "dpmpp") AdaptDpmpp(config, &options, warn);
  if (options.sampler == "unipc") AdaptUniPc(&options, warn);
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
  const Sampler* const known = FindSampler(sampler);
  if (known == nullptr) return options;
  if (options.langevin_steps == 0) options.langevin_steps = known->langevin_steps;
  const std::vector<absl::string_view>& types = known->solver_types;
  if (!types.empty() && !absl::c_linear_search(types, WordOf(options.solver_type))) {
    options.solver_type = *FromWord<SolverType>(types.front());
  }
  return options;
}

int64_t DefaultSteps(const Sampler& sampler, const SamplingOptions& defaults,
                     int64_t num_train_timesteps) {
  if (sampler.name == defaults.sampler || sampler.least_steps <= defaults.steps) {
    return defaults.steps;
  }
  return std::min(num_train_timesteps, sampler.least_steps);
}

const Sampler* FindSampler(absl::string_view name) {
  for (const Sampler& sampler : Samplers()) {
    if (sampler.name == name) return &sampler;
  }
  return nullptr;
}

bool Reads(const Sampler& sampler, absl::string_view option) {
  return IsReadByAll(option) || absl::c_linear_search(sampler.options, option);
}

OptionSpec SpecFor(const Sampler& sampler, const OptionSpec& option) {
  OptionSpec spec = option;
  if (option.name == "solver_type") spec.words = sampler.solver_types;
  return spec;
}

void ForgetUnreadOptions(const Sampler& sampler, SamplingOptions* options) {
  const SamplingOptions none;
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    if (!Reads(sampler, option.name)) option.copy(none, options);
  }
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
  SamplingOptions options = asked;
  options.sampler = sampler.name;
  if (options.solver_type == SolverType::kSamplersOwn && !sampler.solver_types.empty()) {
    options.solver_type = *FromWord<SolverType>(sampler.solver_types.front());
  }
  if (options.langevin_steps == 0) options.langevin_steps = sampler.langevin_steps;
  RETURN_IF_ERROR(CheckOptions(sampler, options));
  absl::StatusOr<SamplingPlan> plan = sampler.compile(model, options);
  if (!plan.ok()) return plan;
  RETURN_IF_ERROR(CheckFinite(*plan, options));
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
