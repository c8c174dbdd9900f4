// What a caller may choose of a sampler, and the one table of it. An option is a member here, its
// row below, and where the sampler's own file reads it; proto/diffusiond/v1/sampling_options.proto
// has a field of the row's name. Requests, receipts, flags, checks and the plan cache read the
// table.
#ifndef DIFFUSIOND_MODEL_SAMPLING_SAMPLING_OPTIONS_H_
#define DIFFUSIOND_MODEL_SAMPLING_SAMPLING_OPTIONS_H_

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "model/config/choices.h"
#include "model/config/option.h"

namespace diffusiond {

inline constexpr int64_t kMaxSamplingSteps = 100000;  // Of any model.

// With nothing left open. A sampler ignores what its Sampler::options do not list.
struct SamplingOptions {
  std::string sampler = "ddpm";
  int64_t steps = 1000;  // 1 .. T.
  // The part of the steps that is run, the last ones: of an image that starts from another. Above
  // 0, up to 1; rounded down, but at least one step must be left.
  double strength = 1;

  double eta = 0;
  Variance variance = Variance::kFixedSmall;
  TimestepSpacing timestep_spacing = TimestepSpacing::kLeading;  // See FractionalTimesteps.
  Arithmetic arithmetic = Arithmetic::kExact;
  bool clip_sample = true;
  bool use_clipped_model_output = false;  // DDIM: take epsilon from the clipped D.

  // Dynamic thresholding of D, in place of clip_sample. See PlanRow::threshold_quantile.
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;
  double sample_max_value = 1;

  SigmaSchedule sigma_schedule = SigmaSchedule::kTimesteps;
  FinalSigmas final_sigmas_type = FinalSigmas::kZero;
  // Euler's churn (Karras et al. 2022, algorithm 2).
  double s_churn = 0;
  double s_tmin = 0;
  double s_tmax = std::numeric_limits<double>::infinity();
  double s_noise = 1;

  int64_t solver_order = 2;
  SolverType solver_type = SolverType::kSamplersOwn;  // The first of Sampler::solver_types.
  DpmAlgorithm algorithm_type = DpmAlgorithm::kOde;
  bool lower_order_final = true;  // The last steps of few take lower orders.
  bool euler_at_final = false;    // The last step is of order 1.
  bool predict_x0 = true;         // UniPC: interpolate D rather than epsilon.
  bool skip_prk_steps = false;    // PNDM: start without Runge-Kutta steps.

  int64_t langevin_steps = 0;  // At each noise level. 0: Sampler::langevin_steps.
  double langevin_step_size = 0.2;

  friend bool operator==(const SamplingOptions&, const SamplingOptions&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SamplingOptions& options);
};

inline constexpr double kAnyNumber = std::numeric_limits<double>::infinity();

inline constexpr Option<SamplingOptions> kSamplingOptions[] = {
    // Read by every sampler; whoever reads the first judges it.
    MakeOption<&SamplingOptions::sampler>("sampler", "see diffusionctl samplers"),
    MakeOption<&SamplingOptions::steps>("steps", {1, kMaxSamplingSteps},
                                        "denoising steps; more take longer and look better"),
    MakeOption<&SamplingOptions::strength>("strength", {0, 1, /*above_low=*/true},
                                           "the part of the steps that is run from init_image"),
    // Sampler::options says who reads the others.
    MakeOption<&SamplingOptions::eta>("eta", {0, 1}, "0 is deterministic, 1 as random as ddpm"),
    MakeOption<&SamplingOptions::variance>(
        "variance", "of the noise: beta-tilde, its logarithm's, beta, none, or the network's"),
    MakeOption<&SamplingOptions::timestep_spacing>("timestep_spacing",
                                                   "which training timesteps are visited"),
    MakeOption<&SamplingOptions::arithmetic>(
        "arithmetic", "diffusers: as Python's diffusers computes where it is not exact"),
    MakeOption<&SamplingOptions::clip_sample>("clip_sample",
                                              "clamp x0-hat to the data's range at every step"),
    MakeOption<&SamplingOptions::use_clipped_model_output>("use_clipped_model_output",
                                                           "take epsilon from the clipped x0-hat"),
    MakeOption<&SamplingOptions::thresholding>(
        "thresholding", "dynamic thresholding of x0-hat in place of clip_sample"),
    MakeOption<&SamplingOptions::dynamic_thresholding_ratio>(
        "dynamic_thresholding_ratio", {0, 1, /*above_low=*/true}, "the quantile of thresholding"),
    MakeOption<&SamplingOptions::sample_max_value>("sample_max_value", {1, 1e6},
                                                   "the largest threshold of thresholding"),
    MakeOption<&SamplingOptions::sigma_schedule>("sigma_schedule", "the noise levels"),
    MakeOption<&SamplingOptions::final_sigmas_type>("final_sigmas_type",
                                                    "where the last step ends"),
    MakeOption<&SamplingOptions::s_churn>("s_churn", {0, 1e6}, "noise added in each step"),
    MakeOption<&SamplingOptions::s_tmin>("s_tmin", {0, kAnyNumber}, "no s_churn below this sigma"),
    MakeOption<&SamplingOptions::s_tmax>("s_tmax", {0, kAnyNumber}, "no s_churn above this sigma"),
    MakeOption<&SamplingOptions::s_noise>("s_noise", {0, 10},
                                          "factor of the deviation of s_churn's noise"),
    MakeOption<&SamplingOptions::solver_order>("solver_order", {1, 3},
                                               "2 is for guided drawing, 3 for unguided"),
    MakeOption<&SamplingOptions::solver_type>("solver_type", "the method, of those it has"),
    MakeOption<&SamplingOptions::algorithm_type>("algorithm_type",
                                                 "deterministic (the ODE), or the SDE"),
    MakeOption<&SamplingOptions::lower_order_final>("lower_order_final",
                                                    "lower orders in the last steps"),
    MakeOption<&SamplingOptions::euler_at_final>("euler_at_final", "order 1 in the last step"),
    MakeOption<&SamplingOptions::predict_x0>("predict_x0", "interpolate x0-hat, not epsilon"),
    MakeOption<&SamplingOptions::skip_prk_steps>("skip_prk_steps",
                                                 "start without Runge-Kutta steps"),
    MakeOption<&SamplingOptions::langevin_steps>("langevin_steps", {1, 10000},
                                                 "Langevin steps at each noise level"),
    // Twice the largest would already not converge where the data are a point.
    MakeOption<&SamplingOptions::langevin_step_size>(
        "langevin_step_size", {0, 2, /*above_low=*/true},
        "their size, in parts of the level's noise variance"),
};

template <typename H>
H AbslHashValue(H h, const SamplingOptions& options) {
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    h = H::combine(std::move(h), option.get(options));
  }
  return h;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_SAMPLING_OPTIONS_H_
