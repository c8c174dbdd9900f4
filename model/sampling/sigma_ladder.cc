#include "model/sampling/sigma_ladder.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr double kRho = 7;  // Karras et al. 2022, appendix D.1.

// sigma of every training timestep, increasing.
std::vector<double> TrainingSigmas(const NoiseSchedule& schedule) {
  // A terminal alpha_bar of 0 has no sigma; diffusers goes as near.
  constexpr double kSmallestAlphaBar = 1.0 / (1 << 24);
  std::vector<double> sigmas;
  sigmas.reserve(schedule.alphas_cumprod().size());
  for (const double alpha_bar : schedule.alphas_cumprod()) {
    const double a = alpha_bar > 0 ? alpha_bar : kSmallestAlphaBar;
    sigmas.push_back(std::sqrt((1 - a) / a));
  }
  return sigmas;
}

double SigmaAt(const std::vector<double>& sigmas, double timestep) {
  const auto below = static_cast<size_t>(timestep);
  const double part = timestep - static_cast<double>(below);
  return part == 0 ? sigmas[below] : sigmas[below] + part * (sigmas[below + 1] - sigmas[below]);
}

// The fractional timestep with that sigma, by interpolation of log(sigma).
double TimestepAt(const std::vector<double>& sigmas, double sigma) {
  const auto above = std::upper_bound(sigmas.begin() + 1, sigmas.end() - 1, sigma);
  const double low = std::log(*(above - 1)), high = std::log(*above);
  const double part = std::clamp((std::log(sigma) - low) / (high - low), 0.0, 1.0);
  return static_cast<double>(above - 1 - sigmas.begin()) + part;
}

// The regularised incomplete beta function I_x(a, a), by its hypergeometric series at x <= 1/2 and
// its symmetry above (Abramowitz and Stegun 1964, 26.5.23).
double IncompleteBeta(double x, double a) {
  if (x > 0.5) return 1 - IncompleteBeta(1 - x, a);
  double sum = 0, term = 1;
  for (int k = 0; term > 1e-17 * sum; ++k) {
    sum += term;
    term *= (2 * a + k) / (a + 1 + k) * x;
  }
  return std::pow(x * (1 - x), a) / (a * std::beta(a, a)) * sum;
}

// The quantile of Beta(0.6, 0.6), by which Lee et al. 2024 (section 4) place noise levels: more of
// them near both ends.
double BetaQuantile(double part) {
  constexpr double kShape = 0.6;
  constexpr int kHalvings = 60;
  double low = 0, high = 1;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (IncompleteBeta(middle, kShape) < part ? low : high) = middle;
  }
  return (low + high) / 2;
}

// n values from sigma_max down to sigma_min: even in sigma^(1 / rho), in log(sigma), or in the
// distribution function of Beta(0.6, 0.6) over the sigmas.
std::vector<double> Curve(SigmaSchedule curve, double sigma_max, double sigma_min, int64_t n,
                          double rho = kRho) {
  std::vector<double> sigmas;
  for (int64_t i = 0; i < n; ++i) {
    const double part = n == 1 ? 0 : static_cast<double>(i) / static_cast<double>(n - 1);
    const auto between = [part](double from, double to) { return from + part * (to - from); };
    if (i == 0 || i == n - 1) {  // To the bit, whatever powers and roots round to.
      sigmas.push_back(i == 0 ? sigma_max : sigma_min);
      continue;
    }
    if (curve == SigmaSchedule::kKarras) {
      sigmas.push_back(
          std::pow(between(std::pow(sigma_max, 1 / rho), std::pow(sigma_min, 1 / rho)), rho));
    } else if (curve == SigmaSchedule::kBeta) {
      sigmas.push_back(sigma_min + BetaQuantile(1 - part) * (sigma_max - sigma_min));
    } else {
      sigmas.push_back(std::exp(between(std::log(sigma_max), std::log(sigma_min))));
    }
  }
  return sigmas;
}

absl::Status CheckModel(const ModelSchedule& model, const SamplingOptions& options) {
  if (model.edm.has_value()) {
    if (options.sigma_schedule == SigmaSchedule::kTimesteps) {
      return absl::InvalidArgumentError(
          "sigma_schedule is \"timesteps\"; for a model of EDM it must be karras, exponential or "
          "beta");
    }
  } else if (model.schedule.num_train_timesteps() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_train_timesteps is 1; sampler ", options.sampler, " needs 2"));
  }
  return absl::OkStatus();
}

// Ends that a checkpoint gives may lie the wrong way round to those of the timesteps.
absl::Status CheckEnds(const ModelSchedule& model, const SamplingOptions& options,
                       const SigmaLadder& ladder) {
  const double high = ladder.sigmas.front(), low = ladder.sigmas[ladder.timesteps.size() - 1];
  const bool given = model.sigma_min.has_value() || model.sigma_max.has_value();
  if (options.sigma_schedule == SigmaSchedule::kTimesteps || !given || options.steps == 1 ||
      high > low) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("sigma_schedule ", WordOf(options.sigma_schedule),
                                                 " goes from the model's sigma_max, or the highest "
                                                 "training sigma, ",
                                                 high, ", to its sigma_min, or the lowest, ", low,
                                                 "; it must go down"));
}

absl::Status CheckDecreasing(const SigmaLadder& ladder, const SamplingOptions& options) {
  for (size_t i = 0; i + 1 < ladder.sigmas.size(); ++i) {
    if (ladder.sigmas[i] > ladder.sigmas[i + 1]) continue;
    const bool last = i + 2 == ladder.sigmas.size();
    if (last && AsDiffusers(options) && ladder.sigmas[i] == ladder.sigmas[i + 1]) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "steps ", options.steps, " with timestep_spacing ", WordOf(options.timestep_spacing),
        ", sigma_schedule ", WordOf(options.sigma_schedule), " and final_sigmas_type ",
        WordOf(options.final_sigmas_type), " visits sigma ", ladder.sigmas[i], " twice; sampler ",
        options.sampler, " needs it to fall at every step: take fewer steps, or another of these"));
  }
  return absl::OkStatus();
}

// Without the steps that are skipped.
absl::StatusOr<SigmaLadder> Cut(SigmaLadder ladder, const SamplingOptions& options) {
  ASSIGN_OR_RETURN(const int64_t skipped, SkippedSteps(options));
  const ptrdiff_t first = static_cast<ptrdiff_t>(skipped);
  ladder.sigmas.erase(ladder.sigmas.begin(), ladder.sigmas.begin() + first);
  ladder.timesteps.erase(ladder.timesteps.begin(), ladder.timesteps.begin() + first);
  return ladder;
}

// Karras et al. 2022, equation 5 and c_noise of table 1.
absl::StatusOr<SigmaLadder> EdmLadder(const ModelSchedule& model, const SamplingOptions& options) {
  const EdmConfig& edm = *model.edm;
  RETURN_IF_ERROR(CheckSteps(model.num_train_timesteps, options.steps));
  SigmaLadder ladder;
  ladder.sigmas =
      Curve(options.sigma_schedule, edm.sigma_max, edm.sigma_min, options.steps, edm.rho);
  for (const double sigma : ladder.sigmas) ladder.timesteps.push_back(0.25 * std::log(sigma));
  ladder.sigmas.push_back(options.final_sigmas_type == FinalSigmas::kZero ? 0 : edm.sigma_min);
  return Cut(std::move(ladder), options);
}

}  // namespace

absl::StatusOr<SigmaLadder> FractionalLadder(const ModelSchedule& model,
                                             const SamplingOptions& options) {
  RETURN_IF_ERROR(CheckModel(model, options));
  if (model.edm.has_value()) return EdmLadder(model, options);
  ASSIGN_OR_RETURN(std::vector<double> timesteps, FractionalTimesteps(model, options));
  const std::vector<double> training = TrainingSigmas(model.schedule);
  SigmaLadder ladder;
  ladder.timesteps = std::move(timesteps);
  for (const double t : ladder.timesteps) ladder.sigmas.push_back(SigmaAt(training, t));
  if (options.sigma_schedule != SigmaSchedule::kTimesteps) {
    const double high = model.log_linear ? training.back() : ladder.sigmas.front();
    const double low = model.log_linear ? training.front() : ladder.sigmas.back();
    ladder.sigmas = Curve(options.sigma_schedule, model.sigma_max.value_or(high),
                          model.sigma_min.value_or(low), options.steps);
    for (size_t i = 0; i < ladder.sigmas.size(); ++i) {
      ladder.timesteps[i] = TimestepAt(training, ladder.sigmas[i]);
    }
  }
  ladder.sigmas.push_back(options.final_sigmas_type == FinalSigmas::kZero ? 0 : training.front());
  RETURN_IF_ERROR(CheckEnds(model, options, ladder));
  return Cut(std::move(ladder), options);
}

SigmaLadder Raised(const ModelSchedule& model, SigmaLadder ladder,
                   std::span<const double> factors) {
  const std::vector<double> training =
      model.edm.has_value() ? std::vector<double>() : TrainingSigmas(model.schedule);
  for (size_t i = 0; i < factors.size(); ++i) {
    if (factors[i] == 1) continue;
    double& sigma = ladder.sigmas[i];
    sigma *= factors[i];
    ladder.timesteps[i] =
        model.edm.has_value() ? 0.25 * std::log(sigma) : TimestepAt(training, sigma);
  }
  return ladder;
}

double InitNoiseSigma(const ModelSchedule& model, const SigmaLadder& ladder,
                      const SamplingOptions& options) {
  const double sigma = ladder.sigmas.front();
  const bool counts_data =
      model.edm.has_value() || options.timestep_spacing == TimestepSpacing::kLeading;
  return counts_data ? std::sqrt(sigma * sigma + 1) : sigma;
}

absl::StatusOr<SigmaLadder> SolverLadder(const ModelSchedule& model, const SamplingOptions& options,
                                         Rounding rounding) {
  RETURN_IF_ERROR(CheckModel(model, options));
  const std::vector<double> training = TrainingSigmas(model.schedule);
  // Timesteps whose log(alpha / sigma) is below the clip are left out.
  int64_t usable = model.schedule.num_train_timesteps();
  while (usable > 2 &&
         -std::log(training[static_cast<size_t>(usable - 1)]) < model.lambda_min_clipped) {
    --usable;
  }
  SigmaLadder ladder;
  if (options.sigma_schedule == SigmaSchedule::kTimesteps) {
    ASSIGN_OR_RETURN(std::vector<int64_t> timesteps, SolverTimesteps(model, options, usable));
    for (const int64_t t : timesteps) {
      ladder.timesteps.push_back(static_cast<double>(t));
      ladder.sigmas.push_back(training[static_cast<size_t>(t)]);
    }
  } else {
    RETURN_IF_ERROR(CheckSteps(model.schedule.num_train_timesteps(), options.steps));
    // A curve that is to end at its least sigma has it as one more point. diffusers has it twice,
    // and a last step that does nothing.
    const bool ends_there = options.final_sigmas_type == FinalSigmas::kSigmaMin &&
                            !AsDiffusers(options) && !model.sigma_min.has_value();
    const double high = model.sigma_max.value_or(training.back());
    const double low = model.sigma_min.value_or(training.front());
    ladder.sigmas = Curve(options.sigma_schedule, high, low, options.steps + (ends_there ? 1 : 0));
    if (ends_there) ladder.sigmas.pop_back();
    const bool cuts = rounding == Rounding::kDown || options.sigma_schedule == SigmaSchedule::kBeta;
    for (const double sigma : ladder.sigmas) {
      const double t = TimestepAt(training, sigma);
      // The network, too, is told the level that x has; diffusers' whole timestep is near it.
      ladder.timesteps.push_back(!AsDiffusers(options) ? t
                                 : cuts                ? std::floor(t)
                                                       : std::nearbyint(t));
    }
  }
  ladder.sigmas.push_back(options.final_sigmas_type == FinalSigmas::kZero ? 0 : training.front());
  RETURN_IF_ERROR(CheckDecreasing(ladder, options));
  return Cut(std::move(ladder), options);
}

}  // namespace diffusiond
