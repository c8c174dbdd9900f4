#include "model/diffusion/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// torch.linspace in float32: from both ends towards the middle.
std::vector<float> Linspace(float start, float end, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  if (count == 1) {
    values[0] = start;
    return values;
  }
  const float step = (end - start) / static_cast<float>(count - 1);
  for (int64_t i = 0; i < count; ++i) {
    values[static_cast<size_t>(i)] = i < count / 2 ? start + step * static_cast<float>(i)
                                                   : end - step * static_cast<float>(count - 1 - i);
  }
  return values;
}

// Nichol and Dhariwal 2021, equation 17, with beta capped at 0.999.
std::vector<float> SquaredCosineBetas(int64_t count) {
  constexpr double kPi = 3.14159265358979323846;
  constexpr double kMaxBeta = 0.999;
  const auto alpha_bar = [](double t) {
    const double c = std::cos((t + 0.008) / 1.008 * kPi / 2);
    return c * c;
  };
  std::vector<float> betas;
  betas.reserve(static_cast<size_t>(count));
  const double n = static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) {
    const double t = static_cast<double>(i);
    betas.push_back(
        static_cast<float>(std::min(1 - alpha_bar((t + 1) / n) / alpha_bar(t / n), kMaxBeta)));
  }
  return betas;
}

std::vector<float> MakeBetas(const SchedulerConfig& config) {
  if (!config.trained_betas.empty()) {
    return std::vector<float>(config.trained_betas.begin(), config.trained_betas.end());
  }
  const int64_t count = config.num_train_timesteps;
  if (config.beta_schedule == "squaredcos_cap_v2") return SquaredCosineBetas(count);
  if (config.beta_schedule == "scaled_linear") {
    std::vector<float> betas = Linspace(static_cast<float>(std::sqrt(config.beta_start)),
                                        static_cast<float>(std::sqrt(config.beta_end)), count);
    for (float& beta : betas) beta *= beta;
    return betas;
  }
  if (config.beta_schedule == "sigmoid") {
    std::vector<float> betas = Linspace(-6, 6, count);
    const float scale = static_cast<float>(config.beta_end - config.beta_start);
    const float offset = static_cast<float>(config.beta_start);
    for (float& beta : betas) beta = 1 / (1 + std::exp(-beta)) * scale + offset;
    return betas;
  }
  return Linspace(static_cast<float>(config.beta_start), static_cast<float>(config.beta_end),
                  count);
}

std::vector<float> CumulativeProduct(const std::vector<float>& betas) {
  std::vector<float> alphas_cumprod;
  alphas_cumprod.reserve(betas.size());
  double product = 1;  // LibTorch's cumprod of float32 accumulates in double.
  for (const float beta : betas) {
    product *= static_cast<double>(1 - beta);
    alphas_cumprod.push_back(static_cast<float>(product));
  }
  return alphas_cumprod;
}

// Betas whose last alpha_bar is 0: sqrt(alpha_bar) is shifted and stretched so that its first value
// stays (Lin et al. 2023, algorithm 1). At least two.
std::vector<float> RescaledToZeroSnr(const std::vector<float>& betas) {
  std::vector<float> signal = CumulativeProduct(betas);
  for (float& value : signal) value = std::sqrt(value);
  const float first = signal.front(), last = signal.back();
  for (float& value : signal) value = (value - last) * (first / (first - last));
  std::vector<float> rescaled;
  rescaled.reserve(betas.size());
  float before = 1;
  for (const float value : signal) {
    const float alpha_bar = value * value;
    rescaled.push_back(1 - alpha_bar / before);
    before = alpha_bar;
  }
  return rescaled;
}

absl::Status CheckAlphasCumprod(const std::vector<float>& alphas_cumprod,
                                const std::vector<float>& betas, bool zero_snr) {
  for (size_t t = 0; t < alphas_cumprod.size(); ++t) {
    const float alpha_bar = alphas_cumprod[t];
    const bool may_be_zero = zero_snr && t + 1 == alphas_cumprod.size();
    if ((alpha_bar > 0 || (may_be_zero && alpha_bar == 0)) && alpha_bar < 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the noise schedule gives alphas_cumprod[", t, "] = ", alpha_bar,
                     "; it must be in (0, 1): beta[", t, "] is ", betas[t]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NoiseSchedule> NoiseSchedule::Create(const SchedulerConfig& config) {
  if (absl::Status status = Validate(config); !status.ok()) return status;
  if (config.is_edm()) {
    return absl::InvalidArgumentError(
        absl::StrCat("_class_name is ", config.class_name, ", which has no betas"));
  }
  const bool zero_snr = config.rescale_betas_zero_snr;
  std::vector<float> betas = MakeBetas(config);
  if (zero_snr) {
    if (betas.size() < 2 || !(betas.back() > 0)) {
      return absl::InvalidArgumentError(
          "rescale_betas_zero_snr is true; it needs 2 timesteps and a last beta above 0");
    }
    betas = RescaledToZeroSnr(betas);
  }
  std::vector<float> alphas_cumprod = CumulativeProduct(betas);
  absl::Status status = CheckAlphasCumprod(alphas_cumprod, betas, zero_snr);
  if (!status.ok()) return status;
  return NoiseSchedule(std::move(betas), std::move(alphas_cumprod));
}

absl::StatusOr<PredictionType> ParsePredictionType(const std::string& name) {
  if (name == "epsilon") return PredictionType::kEpsilon;
  if (name == "sample") return PredictionType::kSample;
  if (name == "v_prediction") return PredictionType::kVelocity;
  if (name == "score") return PredictionType::kScore;
  return absl::InvalidArgumentError(absl::StrCat(
      "prediction_type is \"", name, "\"; it must be epsilon, sample, v_prediction or score"));
}

}  // namespace diffusiond
