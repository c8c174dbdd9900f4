#include "model/diffusion/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

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

// Nichol and Dhariwal 2021, equation 17.
double SquaredCosine(double t) {
  const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
  return c * c;
}

// diffusers' "exp".
double Exponential(double t) { return std::exp(-12 * t); }

// diffusers' "laplace": log SNR is a Laplace distribution's quantile of t (Hang and Gu 2024).
double Laplace(double t) {
  const double side = 0.5 - t < 0 ? -1 : 1;
  const double log_snr = -0.5 * side * std::log(1 - 2 * std::abs(0.5 - t) + 1e-6);
  const double snr = std::exp(log_snr);
  return std::sqrt(snr / (1 + snr));
}

// Betas of an alpha_bar, which falls from 0 to 1 up to a factor, capped at 0.999.
std::vector<float> BetasFor(double (*alpha_bar)(double), int64_t count) {
  constexpr double kMaxBeta = 0.999;
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

// Of a beta_schedule.
std::vector<float> MakeBetas(const SchedulerConfig& config) {
  const int64_t count = config.num_train_timesteps;
  if (config.beta_schedule == "squaredcos_cap_v2") return BetasFor(SquaredCosine, count);
  if (config.beta_schedule == "exp") return BetasFor(Exponential, count);
  if (config.beta_schedule == "laplace") return BetasFor(Laplace, count);
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

// In the precision of the betas, but for the product itself: LibTorch's cumprod of float32
// accumulates in double.
template <typename T>
std::vector<T> CumulativeProduct(const std::vector<T>& betas) {
  std::vector<T> alphas_cumprod;
  alphas_cumprod.reserve(betas.size());
  double product = 1;
  for (const T beta : betas) {
    product *= static_cast<double>(1 - beta);
    alphas_cumprod.push_back(static_cast<T>(product));
  }
  return alphas_cumprod;
}

// Betas whose last alpha_bar is 0: sqrt(alpha_bar) is shifted and stretched so that its first value
// stays (Lin et al. 2023, algorithm 1). At least two.
template <typename T>
std::vector<T> RescaledToZeroSnr(const std::vector<T>& betas) {
  std::vector<T> signal = CumulativeProduct(betas);
  for (T& value : signal) value = std::sqrt(value);
  const T first = signal.front(), last = signal.back();
  for (T& value : signal) value = (value - last) * (first / (first - last));
  std::vector<T> rescaled;
  rescaled.reserve(betas.size());
  T before = 1;
  for (const T value : signal) {
    const T alpha_bar = value * value;
    rescaled.push_back(1 - alpha_bar / before);
    before = alpha_bar;
  }
  return rescaled;
}

absl::Status CheckAlphasCumprod(const std::vector<double>& alphas_cumprod,
                                const std::vector<double>& betas, bool zero_snr) {
  for (size_t t = 0; t < alphas_cumprod.size(); ++t) {
    const double alpha_bar = alphas_cumprod[t];
    const bool may_be_zero = zero_snr && t + 1 == alphas_cumprod.size();
    if ((alpha_bar > 0 || (may_be_zero && alpha_bar == 0)) && alpha_bar < 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the noise schedule gives alphas_cumprod[", t, "] = ", alpha_bar,
                     "; it must be in (0, 1): beta[", t, "] is ", betas[t]));
  }
  return absl::OkStatus();
}

struct Tables {
  std::vector<double> betas, alphas_cumprod;
};

template <typename T>
absl::StatusOr<Tables> MakeTables(std::vector<T> betas, bool zero_snr) {
  if (zero_snr) {
    if (betas.size() < 2 || !(betas.back() > 0)) {
      return absl::InvalidArgumentError(
          "rescale_betas_zero_snr is true; it needs 2 timesteps and a last beta above 0");
    }
    betas = RescaledToZeroSnr(betas);
  }
  const std::vector<T> alphas_cumprod = CumulativeProduct(betas);
  Tables tables{{betas.begin(), betas.end()}, {alphas_cumprod.begin(), alphas_cumprod.end()}};
  RETURN_IF_ERROR(CheckAlphasCumprod(tables.alphas_cumprod, tables.betas, zero_snr));
  return tables;
}

}  // namespace

absl::StatusOr<NoiseSchedule> NoiseSchedule::Create(const SchedulerConfig& config) {
  RETURN_IF_ERROR(Validate(config));
  if (config.is_edm()) {
    return absl::InvalidArgumentError(
        absl::StrCat("_class_name is ", config.class_name, ", which has no betas"));
  }
  ASSIGN_OR_RETURN(Tables tables,
                   config.trained_betas.empty()
                       ? MakeTables(MakeBetas(config), config.rescale_betas_zero_snr)
                       : MakeTables(config.trained_betas, config.rescale_betas_zero_snr));
  return NoiseSchedule(std::move(tables.betas), std::move(tables.alphas_cumprod));
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
