#include "client/commands/sampling_flags.h"

#include <cstdint>
#include <optional>

#include "absl/flags/flag.h"

ABSL_FLAG(std::string, sampler, "", "=NAME: see diffusionctl samplers");
ABSL_FLAG(std::optional<uint32_t>, steps, std::nullopt,
          "=N: denoising steps; more take longer and look better");
ABSL_FLAG(std::optional<float>, eta, std::nullopt, "=0..1: ddim: 0 deterministic, 1 as ddpm");
ABSL_FLAG(std::string, variance, "",
          "=NAME: ddpm: fixed_small, fixed_large, zero, or as the model learned it");
ABSL_FLAG(std::string, spacing, "", "=NAME: of timesteps: leading, trailing or linspace");
ABSL_FLAG(std::string, arithmetic, "",
          "=NAME: exact, or diffusers: as Python's diffusers computes where it is not exact");
ABSL_FLAG(std::optional<bool>, clip_sample, std::nullopt,
          "clamp x0-hat to the data's range at every step");
ABSL_FLAG(std::optional<bool>, use_clipped_model_output, std::nullopt,
          "ddim: take epsilon from the clipped x0-hat");
ABSL_FLAG(std::optional<bool>, thresholding, std::nullopt,
          "dynamic thresholding of x0-hat in place of --clip_sample");
ABSL_FLAG(std::optional<float>, dynamic_thresholding_ratio, std::nullopt,
          "=0..1: the quantile of --thresholding");
ABSL_FLAG(std::optional<float>, sample_max_value, std::nullopt,
          "=1 or more: the largest threshold of --thresholding");
ABSL_FLAG(std::string, sigma_schedule, "",
          "=NAME: noise levels: timesteps, karras, exponential or beta");
ABSL_FLAG(std::string, final_sigmas_type, "",
          "=NAME: deis, dpmpp, euler, unipc: where the last step ends: zero or sigma_min");
ABSL_FLAG(std::optional<uint32_t>, solver_order, std::nullopt, "=1..3: deis, dpmpp, unipc");
ABSL_FLAG(
    std::string, solver_type, "",
    "=NAME: dpmpp: midpoint or heun; unipc: bh1 or bh2; probability_flow: heun, euler or rk4");
ABSL_FLAG(std::string, algorithm_type, "", "=NAME: dpmpp: dpmsolver++ or sde-dpmsolver++");
ABSL_FLAG(std::optional<bool>, lower_order_final, std::nullopt,
          "deis, dpmpp, unipc: lower orders in the last steps");
ABSL_FLAG(std::optional<bool>, euler_at_final, std::nullopt, "dpmpp: order 1 in the last step");
ABSL_FLAG(std::optional<bool>, predict_x0, std::nullopt, "unipc: interpolate x0-hat, not epsilon");
ABSL_FLAG(std::optional<bool>, skip_prk_steps, std::nullopt,
          "pndm: start without Runge-Kutta steps");
ABSL_FLAG(std::optional<float>, s_churn, std::nullopt, "=0 or more: euler: noise in each step");
ABSL_FLAG(std::optional<float>, s_tmin, std::nullopt, "=SIGMA: euler: no --s_churn below it");
ABSL_FLAG(std::optional<float>, s_tmax, std::nullopt, "=SIGMA: euler: no --s_churn above it");
ABSL_FLAG(std::optional<float>, s_noise, std::nullopt,
          "=FACTOR: euler: of the deviation of --s_churn's noise");
ABSL_FLAG(std::optional<uint32_t>, langevin_steps, std::nullopt,
          "=N: annealed_langevin, predictor_corrector: Langevin steps at each noise level");
ABSL_FLAG(std::optional<float>, langevin_step_size, std::nullopt,
          "=0..2: their size, in parts of the level's noise variance");

namespace diffusiond {

const std::vector<std::string> kSamplingFlags = {"sampler",
                                                 "steps",
                                                 "eta",
                                                 "variance",
                                                 "spacing",
                                                 "arithmetic",
                                                 "clip_sample",
                                                 "use_clipped_model_output",
                                                 "thresholding",
                                                 "dynamic_thresholding_ratio",
                                                 "sample_max_value",
                                                 "sigma_schedule",
                                                 "final_sigmas_type",
                                                 "solver_order",
                                                 "solver_type",
                                                 "algorithm_type",
                                                 "lower_order_final",
                                                 "euler_at_final",
                                                 "predict_x0",
                                                 "skip_prk_steps",
                                                 "s_churn",
                                                 "s_tmin",
                                                 "s_tmax",
                                                 "s_noise",
                                                 "langevin_steps",
                                                 "langevin_step_size"};

void SetSamplingByFlags(v1::GenerateRequest& request) {
  const auto set = [&request](const auto& value, auto setter) {
    if (value.has_value()) (request.*setter)(*value);
  };
  using R = v1::GenerateRequest;
  request.set_sampler(absl::GetFlag(FLAGS_sampler));
  set(absl::GetFlag(FLAGS_steps), &R::set_steps);
  set(absl::GetFlag(FLAGS_eta), &R::set_eta);
  request.set_variance(absl::GetFlag(FLAGS_variance));
  request.set_timestep_spacing(absl::GetFlag(FLAGS_spacing));
  request.set_arithmetic(absl::GetFlag(FLAGS_arithmetic));
  set(absl::GetFlag(FLAGS_clip_sample), &R::set_clip_sample);
  set(absl::GetFlag(FLAGS_use_clipped_model_output), &R::set_use_clipped_model_output);
  set(absl::GetFlag(FLAGS_thresholding), &R::set_thresholding);
  set(absl::GetFlag(FLAGS_dynamic_thresholding_ratio), &R::set_dynamic_thresholding_ratio);
  set(absl::GetFlag(FLAGS_sample_max_value), &R::set_sample_max_value);
  request.set_sigma_schedule(absl::GetFlag(FLAGS_sigma_schedule));
  request.set_final_sigmas_type(absl::GetFlag(FLAGS_final_sigmas_type));
  set(absl::GetFlag(FLAGS_solver_order), &R::set_solver_order);
  request.set_solver_type(absl::GetFlag(FLAGS_solver_type));
  request.set_algorithm_type(absl::GetFlag(FLAGS_algorithm_type));
  set(absl::GetFlag(FLAGS_lower_order_final), &R::set_lower_order_final);
  set(absl::GetFlag(FLAGS_euler_at_final), &R::set_euler_at_final);
  set(absl::GetFlag(FLAGS_predict_x0), &R::set_predict_x0);
  set(absl::GetFlag(FLAGS_skip_prk_steps), &R::set_skip_prk_steps);
  set(absl::GetFlag(FLAGS_s_churn), &R::set_s_churn);
  set(absl::GetFlag(FLAGS_s_tmin), &R::set_s_tmin);
  set(absl::GetFlag(FLAGS_s_tmax), &R::set_s_tmax);
  set(absl::GetFlag(FLAGS_s_noise), &R::set_s_noise);
  set(absl::GetFlag(FLAGS_langevin_steps), &R::set_langevin_steps);
  set(absl::GetFlag(FLAGS_langevin_step_size), &R::set_langevin_step_size);
}

}  // namespace diffusiond
