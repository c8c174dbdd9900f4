#include "model/config/scheduler_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

constexpr int64_t kMaxTrainTimesteps = 100000;
constexpr double kMaxValue = 1e6;  // Of pixels in any scaling, and of noise.
constexpr double kLeastClipRange = 1e-6;
constexpr double kLeastSigma = 1e-6;
constexpr double kMaxLambda = 20;  // log(alpha / sigma): sigma of 2e-9.
// Of Karras' schedule, which takes sigma to the power of 1 / rho; files have 7.
constexpr double kLeastRho = 0.1;
constexpr double kMaxRho = 1000;

using Names = std::span<const absl::string_view>;

// Classes built on DDPM's table of betas, and EDM's. Those of other families (score SDE) have none,
// and reading theirs as DDPM's would draw noise rather than fail.
constexpr std::array<absl::string_view, 19> kClasses = {"DDPMScheduler",
                                                        "DDIMScheduler",
                                                        "DDPMParallelScheduler",
                                                        "DDIMParallelScheduler",
                                                        "DDIMInverseScheduler",
                                                        "PNDMScheduler",
                                                        "DPMSolverMultistepScheduler",
                                                        "DPMSolverSinglestepScheduler",
                                                        "DPMSolverSDEScheduler",
                                                        "DEISMultistepScheduler",
                                                        "UniPCMultistepScheduler",
                                                        "EulerDiscreteScheduler",
                                                        "EulerAncestralDiscreteScheduler",
                                                        "HeunDiscreteScheduler",
                                                        "LMSDiscreteScheduler",
                                                        "KDPM2DiscreteScheduler",
                                                        "KDPM2AncestralDiscreteScheduler",
                                                        "SASolverScheduler",
                                                        "EDMEulerScheduler"};
constexpr std::array<absl::string_view, 6> kBetaSchedules = {
    "linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "exp"};
constexpr std::array<absl::string_view, 6> kVarianceTypes = {
    "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range"};
// diffusers knows no "score".
constexpr std::array<absl::string_view, 4> kPredictionTypes = {"epsilon", "sample", "v_prediction",
                                                               "score"};
constexpr std::array<absl::string_view, 7> kAlgorithmTypes = {
    "dpmsolver", "dpmsolver++",     "sde-dpmsolver",   "sde-dpmsolver++",
    "deis",      "data_prediction", "noise_prediction"};
constexpr std::array<absl::string_view, 4> kSigmaSchedules = {"timesteps", "karras", "exponential",
                                                              "beta"};
constexpr std::array<absl::string_view, 2> kInterpolationTypes = {"linear", "log_linear"};
constexpr std::array<absl::string_view, 2> kTimestepTypes = {"discrete", "continuous"};
constexpr std::array<absl::string_view, 7> kSolverTypes = {
    "midpoint", "heun", "bh1", "bh2", "logrho", "dpmsolver", "dpmsolver++"};
constexpr std::array<absl::string_view, 2> kFinalSigmasTypes = {"zero", "sigma_min"};
constexpr std::array<absl::string_view, 3> kSpacings = {"leading", "trailing", "linspace"};

absl::Status CheckName(const char* field, const std::string& value, Names allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " is '", absl::Utf8SafeCHexEscape(value),
                                                 "', allowed: ", absl::StrJoin(allowed, ", ")));
}

absl::Status CheckRange(const std::string& field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();  // Not so for NaN.
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, ", expected ", low, " to ", high));
}

// alpha_t = 1 - beta_t must lie in [0, 1], and only the last may be 0.
absl::Status CheckBetas(const SchedulerConfig& config) {
  absl::Status status = CheckRange("beta_start", config.beta_start, 0, 1);
  status.Update(CheckRange("beta_end", config.beta_end, 0, 1));
  if (status.ok() && config.beta_start > config.beta_end) {
    status = absl::InvalidArgumentError(absl::StrCat(
        "beta_start is ", config.beta_start, ", expected at most beta_end = ", config.beta_end));
  }
  if (config.trained_betas.empty()) return status;
  if (static_cast<int64_t>(config.trained_betas.size()) != config.num_train_timesteps) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("trained_betas has ", config.trained_betas.size(),
                     " entries, expected num_train_timesteps = ", config.num_train_timesteps)));
  }
  for (size_t i = 0; i < config.trained_betas.size(); ++i) {
    status.Update(
        CheckRange(absl::StrCat("trained_betas[", i, "]"), config.trained_betas[i], 0, 1));
  }
  return status;
}

absl::Status CheckSolver(const SolverConfig& solver) {
  absl::Status status = CheckRange("solver_order", static_cast<double>(solver.solver_order), 1, 3);
  status.Update(CheckName("algorithm_type", solver.algorithm_type, kAlgorithmTypes));
  if (!solver.solver_type.empty()) {
    status.Update(CheckName("solver_type", solver.solver_type, kSolverTypes));
  }
  status.Update(CheckName("final_sigmas_type", solver.final_sigmas_type, kFinalSigmasTypes));
  status.Update(CheckRange("lambda_min_clipped", solver.lambda_min_clipped,
                           -std::numeric_limits<double>::infinity(), kMaxLambda));
  status.Update(CheckName("sigma_schedule", solver.sigma_schedule, kSigmaSchedules));
  status.Update(CheckName("interpolation_type", solver.interpolation_type, kInterpolationTypes));
  status.Update(CheckName("timestep_type", solver.timestep_type, kTimestepTypes));
  // Elsewhere they change nothing.
  if (solver.sigma_schedule != "timesteps" || solver.interpolation_type == "log_linear") {
    const double low = solver.sigma_min.value_or(kLeastSigma);
    const double high = solver.sigma_max.value_or(kMaxValue);
    status.Update(CheckRange("sigma_min", low, kLeastSigma, kMaxValue));
    status.Update(CheckRange("sigma_max", high, low, kMaxValue));
  }
  if (solver.disable_corrector.size() > static_cast<size_t>(kMaxTrainTimesteps)) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("disable_corrector has ", solver.disable_corrector.size(),
                     " entries, expected at most ", kMaxTrainTimesteps)));
  }
  return status;
}

absl::Status CheckEdm(const SchedulerConfig& config) {
  constexpr std::array<absl::string_view, 2> kSigmaSchedules = {"karras", "exponential"};
  constexpr std::array<absl::string_view, 2> kPredictions = {"epsilon", "v_prediction"};
  absl::Status status = CheckRange("sigma_min", config.edm.sigma_min, kLeastSigma, kMaxValue);
  if (status.ok() && !(config.edm.sigma_max > config.edm.sigma_min)) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("sigma_max is ", config.edm.sigma_max,
                     ", expected above sigma_min = ", config.edm.sigma_min)));
  }
  status.Update(CheckRange("sigma_max", config.edm.sigma_max, kLeastSigma, kMaxValue));
  status.Update(CheckRange("sigma_data", config.edm.sigma_data, kLeastSigma, kMaxValue));
  status.Update(CheckRange("rho", config.edm.rho, kLeastRho, kMaxRho));
  status.Update(CheckName("sigma_schedule", config.solver.sigma_schedule, kSigmaSchedules));
  const absl::Status prediction =
      CheckName("prediction_type", config.prediction_type, kPredictions);
  if (!prediction.ok()) {
    status.Update(absl::Status(prediction.code(),
                               absl::StrCat(prediction.message(), " (in a model of EDM)")));
  }
  return status;
}

}  // namespace

SchedulerConfig SchedulerDefaults(const std::string& class_name) {
  SchedulerConfig config;
  config.class_name = class_name;
  const auto is_one_of = [&class_name](Names names) {
    return std::find(names.begin(), names.end(), class_name) != names.end();
  };
  constexpr std::array<absl::string_view, 4> kOldModelBetas = {
      "HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
      "DPMSolverSDEScheduler"};
  constexpr std::array<absl::string_view, 5> kDdpmFamily = {
      "DDPMScheduler", "DDIMScheduler", "DDPMParallelScheduler", "DDIMParallelScheduler",
      "DDIMInverseScheduler"};
  const bool single = class_name == "DPMSolverSinglestepScheduler";
  if (class_name == "DPMSolverMultistepScheduler" || single) {
    config.solver.solver_type = "midpoint";
  }
  if (single) config.solver.lower_order_final = false;
  if (class_name == "UniPCMultistepScheduler") config.solver.solver_type = "bh2";
  if (class_name == "DEISMultistepScheduler") {
    config.solver.algorithm_type = "deis";
    config.solver.solver_type = "logrho";
  }
  if (class_name == "SASolverScheduler") config.solver.algorithm_type = "data_prediction";
  if (is_one_of(kOldModelBetas)) {
    config.beta_start = 0.00085;
    config.beta_end = 0.012;
  }
  if (config.is_edm()) config.solver.sigma_schedule = "karras";
  if (!is_one_of(kDdpmFamily)) {
    config.clip_sample = false;
    if (class_name == "PNDMScheduler") {
      config.set_alpha_to_one = false;
    } else if (!config.is_edm()) {
      config.timestep_spacing = "linspace";
    }
  }
  return config;
}

double ToldLogSigma(double signal, double noise) { return 0.25 * std::log(noise / signal); }

absl::Status CheckTold(const SchedulerConfig& config) {
  if (!config.tells_log_sigma() || !config.rescale_betas_zero_snr) return absl::OkStatus();
  return absl::UnimplementedError(
      "rescale_betas_zero_snr is true, expected false with timestep_type 'continuous': the network "
      "is told log(sigma) / 4, and at the last timestep sigma is infinite");
}

absl::Status CheckMeasurable(const SchedulerConfig& config) {
  if (!config.is_edm()) return CheckTold(config);
  return absl::UnimplementedError(absl::StrCat("_class_name is ", config.class_name,
                                               "; models of EDM are not measured by likelihood"));
}

absl::Status Validate(const SchedulerConfig& config) {
  absl::Status status = CheckName("_class_name", config.class_name, kClasses);
  status.Update(CheckRange("num_train_timesteps", static_cast<double>(config.num_train_timesteps),
                           1, kMaxTrainTimesteps));
  status.Update(CheckBetas(config));
  status.Update(CheckName("beta_schedule", config.beta_schedule, kBetaSchedules));
  status.Update(CheckName("variance_type", config.variance_type, kVarianceTypes));
  status.Update(CheckName("prediction_type", config.prediction_type, kPredictionTypes));
  status.Update(CheckRange("dynamic_thresholding_ratio", config.dynamic_thresholding_ratio, 0, 1));
  status.Update(
      CheckRange("clip_sample_range", config.clip_sample_range, kLeastClipRange, kMaxValue));
  // Thresholds are 1 and up to this.
  status.Update(CheckRange("sample_max_value", config.sample_max_value, config.thresholding ? 1 : 0,
                           kMaxValue));
  status.Update(CheckName("timestep_spacing", config.timestep_spacing, kSpacings));
  status.Update(CheckRange("steps_offset", static_cast<double>(config.steps_offset), 0,
                           static_cast<double>(config.num_train_timesteps)));
  status.Update(CheckSolver(config.solver));
  if (config.is_edm()) status.Update(CheckEdm(config));
  return status;
}

}  // namespace diffusiond
