#include "model/training/options/objective_flags.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/flags/flag.h"

// Fields of SchedulerConfig: their defaults are the flags'.
// clang-format off
#define SCHEDULER_FLAGS(FLAG) \
  FLAG(std::string, prediction_type, "epsilon, sample, v_prediction or score") \
  FLAG(std::string, beta_schedule, "linear, scaled_linear, squaredcos_cap_v2, sigmoid, laplace or exp") \
  FLAG(int64_t, num_train_timesteps, "T") \
  FLAG(bool, rescale_betas_zero_snr, \
       "shift the schedule so that nothing of the image is left at the last timestep (Lin et " \
       "al. 2023, algorithm 1); for --prediction_type=v_prediction or sample") \
  FLAG(std::string, variance_type, \
       "the reverse variance that --loss_weight=bound and the served model take: " \
       "fixed_small, fixed_large, or learned_range, which the network learns besides")
// clang-format on
#define DIFFUSIOND_DEFINE(type, name, help) \
  ABSL_FLAG(type, name, diffusiond::SchedulerConfig().name, help);
SCHEDULER_FLAGS(DIFFUSIOND_DEFINE)
#undef DIFFUSIOND_DEFINE

ABSL_FLAG(std::optional<double>, beta_start, std::nullopt,
          "of the linear, scaled_linear and sigmoid --beta_schedule, 0 .. 1; default 0.1 / T");
ABSL_FLAG(std::optional<double>, beta_end, std::nullopt,
          "of the same, --beta_start .. 1; default 20 / T, so that whatever T is, no more of the "
          "image is left at the last timestep than with the paper's T of 1000");
// Fields of ObjectiveOptions: their defaults are the flags'.
// clang-format off
#define OBJECTIVE_FLAGS(FLAG) \
  FLAG(double, vlb_weight, \
       "with --variance_type=learned_range: lambda of L_simple + lambda L_vlb; with " \
       "--loss_weight=bound it is L_vlb alone") \
  FLAG(bool, learn_schedule, \
       "learn the noise schedule along with the network, from the end points of " \
       "--beta_schedule on (variational diffusion models); with --loss_weight=vdm") \
  FLAG(diffusiond::TimestepSampling, timestep_sampling, \
       "uniform, stratified (evenly over each batch) or importance (by the losses so far; " \
       "for --loss_weight=bound)") \
  FLAG(double, edm_mean, "with --edm: of log sigma in training (P_mean)") \
  FLAG(double, edm_deviation, "with --edm: of log sigma in training (P_std)")
// clang-format on
#define DIFFUSIOND_DEFINE(type, name, help) \
  ABSL_FLAG(type, name, diffusiond::ObjectiveOptions().name, help);
OBJECTIVE_FLAGS(DIFFUSIOND_DEFINE)
#undef DIFFUSIOND_DEFINE

ABSL_FLAG(
    diffusiond::LossWeight, loss_weight, diffusiond::LossWeight::kUnit,
    "how much each noise level counts: unit (1 on the error of what is predicted), simple (1 "
    "on epsilon's), bound (the variational bound), vdm (SNR(t-1) - SNR(t) on x_0's) or min_snr "
    "(min(SNR, --min_snr_gamma) on x_0's)");
ABSL_FLAG(double, min_snr_gamma, 5, "of --loss_weight=min_snr");
ABSL_FLAG(bool, edm, false,
          "train a model of EDM (Karras et al. 2022), which has no betas: noise levels sigma, "
          "log-normal in training, and a preconditioned network");
ABSL_FLAG(double, sigma_data, 0.5, "with --edm: the standard deviation of the data in [-1, 1]");
ABSL_FLAG(double, sigma_min, 0.002, "with --edm: the least sigma that is drawn at");
ABSL_FLAG(double, sigma_max, 80, "with --edm: the sigma that drawing begins at");

namespace diffusiond {
namespace {

// `paper` is meant for 1000 timesteps; with fewer of them each must noise more.
double ScaledBeta(std::optional<double> asked, double paper, const SchedulerConfig& config) {
  constexpr double kPaperTimesteps = 1000, kMostBeta = 0.999;
  if (asked.has_value()) return *asked;
  const double timesteps = static_cast<double>(std::max<int64_t>(1, config.num_train_timesteps));
  return std::min(paper * (kPaperTimesteps / timesteps), kMostBeta);
}

}  // namespace

SchedulerConfig SchedulerFromFlags() {
  SchedulerConfig config;
  if (absl::GetFlag(FLAGS_edm)) {
    config = SchedulerDefaults("EDMEulerScheduler");
    config.edm.sigma_data = absl::GetFlag(FLAGS_sigma_data);
    config.edm.sigma_min = absl::GetFlag(FLAGS_sigma_min);
    config.edm.sigma_max = absl::GetFlag(FLAGS_sigma_max);
  }
#define DIFFUSIOND_TAKE(type, name, help) config.name = absl::GetFlag(FLAGS_##name);
  SCHEDULER_FLAGS(DIFFUSIOND_TAKE)
#undef DIFFUSIOND_TAKE
  config.beta_start = ScaledBeta(absl::GetFlag(FLAGS_beta_start), config.beta_start, config);
  config.beta_end = ScaledBeta(absl::GetFlag(FLAGS_beta_end), config.beta_end, config);
  return config;
}

ObjectiveOptions ObjectiveFromFlags() {
  ObjectiveOptions options;
  options.weight.kind = absl::GetFlag(FLAGS_loss_weight);
  options.weight.min_snr_gamma = absl::GetFlag(FLAGS_min_snr_gamma);
#define DIFFUSIOND_TAKE(type, name, help) options.name = absl::GetFlag(FLAGS_##name);
  OBJECTIVE_FLAGS(DIFFUSIOND_TAKE)
#undef DIFFUSIOND_TAKE
  return options;
}

}  // namespace diffusiond
