// The forward process q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I)
// (Ho et al. 2020, equation 4) in discrete time.
//
// alpha_t = 1 - beta_t, alpha_bar_t = product of alpha_0 .. alpha_t. Those of a beta_schedule are
// computed in float32, as diffusers computes them: they are what a checkpoint was trained with, and
// exact double-precision ones differ by up to 3e-4. trained_betas are taken in double precision: a
// learned schedule begins with betas (3e-7) of which 1 - beta in float32 keeps one digit or none.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_NOISE_SCHEDULE_H_
#define DIFFUSIOND_MODEL_DIFFUSION_NOISE_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/config/scheduler_config.h"

namespace diffusiond {

// Largest number of training timesteps that is accepted.
inline constexpr int64_t kMaxTrainTimesteps = 100000;

enum class PredictionType {
  kEpsilon,   // The noise.
  kSample,    // x_0.
  kVelocity,  // sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans and Ho 2022, appendix D).
  kScore,     // The gradient of log q(x_t): -eps / sqrt(1 - alpha_bar) (Song et al. 2021, eq. 7).
};

// Immutable.
class NoiseSchedule {
 public:
  // Of a model without betas: no timesteps.
  NoiseSchedule() = default;

  // INVALID_ARGUMENT names the field, its value and the range.
  static absl::StatusOr<NoiseSchedule> Create(const SchedulerConfig& config);

  int64_t num_train_timesteps() const { return static_cast<int64_t>(alphas_cumprod_.size()); }
  const std::vector<double>& betas() const { return betas_; }
  const std::vector<double>& alphas_cumprod() const { return alphas_cumprod_; }

  // alpha_bar_t, 0 <= t < num_train_timesteps(). In (0, 1), but for rescale_betas_zero_snr, where
  // the last is 0.
  double alpha_bar(int64_t t) const { return alphas_cumprod_[static_cast<size_t>(t)]; }

 private:
  NoiseSchedule(std::vector<double> betas, std::vector<double> alphas_cumprod)
      : betas_(std::move(betas)), alphas_cumprod_(std::move(alphas_cumprod)) {}

  std::vector<double> betas_;
  std::vector<double> alphas_cumprod_;
};

// "epsilon", "sample", "v_prediction" or "score".
absl::StatusOr<PredictionType> ParsePredictionType(const std::string& name);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_NOISE_SCHEDULE_H_
