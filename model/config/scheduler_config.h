// The part of a diffusers scheduler_config.json that describes the model rather than the sampler's
// bookkeeping: noise schedule, prediction type, and the defaults the model was made for.
#ifndef DIFFUSIOND_MODEL_CONFIG_SCHEDULER_CONFIG_H_
#define DIFFUSIOND_MODEL_CONFIG_SCHEDULER_CONFIG_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace diffusiond {

// What classes other than DDPM's and DDIM's add. Names are the JSON fields', but for
// sigma_schedule.
struct SolverConfig {
  int64_t solver_order = 2;  // 1 to 3.
  // DPMSolverMultistepScheduler's; "deis" of DEISMultistepScheduler.
  std::string algorithm_type = "dpmsolver++";
  std::string solver_type;  // Empty: the class has none.
  bool lower_order_final = true;
  bool euler_at_final = false;
  bool predict_x0 = true;
  bool skip_prk_steps = false;
  // use_karras_sigmas, use_exponential_sigmas or use_lu_lambdas ("exponential": both are even in
  // log(sigma)), use_beta_sigmas, use_flow_sigmas; none of them: "timesteps".
  std::string sigma_schedule = "timesteps";
  std::string final_sigmas_type = "zero";  // "zero" or "sigma_min".
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();
  // The ends of sigma_schedule, where it is not "timesteps"; unset: those of the timesteps.
  std::optional<double> sigma_min, sigma_max;
  // EulerDiscreteScheduler. "log_linear": sigma_schedule is even in log(sigma) unless it says
  // otherwise, from the highest training sigma to the lowest.
  std::string interpolation_type = "linear";
  // "continuous": the network is told log(sigma) / 4, not a timestep. By v_prediction alone.
  std::string timestep_type = "discrete";
  std::vector<int64_t> disable_corrector;  // UniPCMultistepScheduler: steps that are not corrected.

  friend bool operator==(const SolverConfig&, const SolverConfig&) = default;
};

// What EDMEulerScheduler has in place of betas: the noise levels sigma of x_0 + sigma eps that the
// network was trained on, and its preconditioning (Karras et al. 2022, table 1, column "Ours").
struct EdmConfig {
  double sigma_min = 0.002;
  double sigma_max = 80;
  double sigma_data = 0.5;  // The standard deviation of the data.
  double rho = 7;           // Of the "karras" sigma_schedule.

  friend bool operator==(const EdmConfig&, const EdmConfig&) = default;
};

// Values are DDPMScheduler's defaults. Names are the JSON fields'.
struct SchedulerConfig {
  std::string class_name = "DDPMScheduler";
  int64_t num_train_timesteps = 1000;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  // "linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace" (DDPMScheduler) or "exp"
  // (HeunDiscreteScheduler).
  std::string beta_schedule = "linear";
  std::vector<double> trained_betas;  // Not empty: used instead of beta_schedule.
  // "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range".
  std::string variance_type = "fixed_small";
  bool clip_sample = true;
  // "epsilon", "sample", "v_prediction" or, of no diffusers class, "score".
  std::string prediction_type = "epsilon";
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;
  double clip_sample_range = 1;
  double sample_max_value = 1;
  std::string timestep_spacing = "leading";  // "leading", "trailing" or "linspace".
  int64_t steps_offset = 0;
  bool rescale_betas_zero_snr = false;
  bool set_alpha_to_one = true;  // DDIM and PNDM only.
  SolverConfig solver;
  EdmConfig edm;

  // Whether `edm` describes the noise rather than the betas.
  bool is_edm() const { return class_name == "EDMEulerScheduler"; }
  // Whether the network is told log(sigma) / 4.
  bool tells_log_sigma() const {
    return solver.timestep_type == "continuous" && prediction_type == "v_prediction";
  }
  // Whether the network has 2 C output channels, the latter C for the variance.
  bool learns_variance() const {
    return variance_type == "learned" || variance_type == "learned_range";
  }

  friend bool operator==(const SchedulerConfig&, const SchedulerConfig&) = default;
};

// What a configuration of that class means by the fields it leaves out.
SchedulerConfig SchedulerDefaults(const std::string& class_name);

// What a network that is told log(sigma) / 4 is told of x = signal x_0 + noise eps.
double ToldLogSigma(double signal, double noise);

// UNIMPLEMENTED if that has no value at the last timestep, where nothing is left of the image.
absl::Status CheckTold(const SchedulerConfig& config);

// UNIMPLEMENTED for models whose likelihood is not measured here: EDM's, and as CheckTold.
absl::Status CheckMeasurable(const SchedulerConfig& config);

// OK if every field is in range; else names the field, its value and the range.
absl::Status Validate(const SchedulerConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CONFIG_SCHEDULER_CONFIG_H_
