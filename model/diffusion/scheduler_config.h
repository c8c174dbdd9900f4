// The part of a diffusers scheduler_config.json that describes the model rather than the sampler's
// bookkeeping: noise schedule, prediction type, and the defaults the model was made for.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_SCHEDULER_CONFIG_H_
#define DIFFUSIOND_MODEL_DIFFUSION_SCHEDULER_CONFIG_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace diffusiond {

// What classes other than DDPM's and DDIM's add. Names are the JSON fields', but for
// sigma_schedule.
struct SolverConfig {
  int64_t solver_order = 2;                    // 1 to 3.
  std::string algorithm_type = "dpmsolver++";  // DPMSolverMultistepScheduler.
  std::string solver_type;                     // Empty: the class has none.
  bool lower_order_final = true;
  bool euler_at_final = false;
  bool predict_x0 = true;
  bool skip_prk_steps = false;
  // use_karras_sigmas, use_exponential_sigmas or use_lu_lambdas ("exponential": both are even in
  // log(sigma)), use_beta_sigmas, use_flow_sigmas; none of them: "timesteps".
  std::string sigma_schedule = "timesteps";
  std::string final_sigmas_type = "zero";  // "zero" or "sigma_min".
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();

  friend bool operator==(const SolverConfig&, const SolverConfig&) = default;
};

// Values are DDPMScheduler's defaults. Names are the JSON fields'.
struct SchedulerConfig {
  std::string class_name = "DDPMScheduler";
  int64_t num_train_timesteps = 1000;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  // "linear", "scaled_linear", "squaredcos_cap_v2" or "sigmoid".
  std::string beta_schedule = "linear";
  std::vector<double> trained_betas;  // Not empty: used instead of beta_schedule.
  // "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range".
  std::string variance_type = "fixed_small";
  bool clip_sample = true;
  std::string prediction_type = "epsilon";  // "epsilon", "sample" or "v_prediction".
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;
  double clip_sample_range = 1;
  double sample_max_value = 1;
  std::string timestep_spacing = "leading";  // "leading", "trailing" or "linspace".
  int64_t steps_offset = 0;
  bool rescale_betas_zero_snr = false;
  bool set_alpha_to_one = true;  // DDIM and PNDM only.
  SolverConfig solver;

  friend bool operator==(const SchedulerConfig&, const SchedulerConfig&) = default;
};

// What a configuration of that class means by the fields it leaves out.
SchedulerConfig SchedulerDefaults(const std::string& class_name);

// OK if every field is in range; else names the field, its value and the range.
absl::Status Validate(const SchedulerConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_SCHEDULER_CONFIG_H_
