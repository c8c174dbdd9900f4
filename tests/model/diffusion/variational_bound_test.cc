#include "model/diffusion/variational_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

namespace diffusiond {
namespace {

// Data of one pixel, x_0 a byte drawn from N(mean, deviation^2), whose exact denoiser and entropy
// are known.
constexpr double kMean = -0.1, kDeviation = 0.18;

double Level(int byte) { return byte / 127.5 - 1; }

double Probability(int byte) {
  const auto below = [](double x) {
    return 0.5 * std::erfc((kMean - x) / kDeviation / std::numbers::sqrt2);
  };
  return below(Level(byte) + 1 / 255.0) - below(Level(byte) - 1 / 255.0);
}

double EntropyBits() {
  double bits = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const double p = Probability(byte);
    if (p > 0) bits -= p * std::log2(p);
  }
  return bits;
}

// E of `value(eps)` over eps ~ N(0, 1), by the trapezoid rule, exact to many digits.
double OverNoise(const std::function<double(double)>& value) {
  constexpr double kStep = 0.25;
  double sum = 0;
  for (double eps = -8; eps <= 8; eps += kStep) {
    sum += value(eps) * std::exp(-eps * eps / 2) * kStep;
  }
  return sum / std::sqrt(2 * std::numbers::pi);
}

// Noise levels even in log SNR, from alpha_bar = 0.99 to 0.001.
std::vector<double> Betas(int count) {
  const auto alpha_bar = [&](int t) {
    const double first = std::log(99.0), last = std::log(0.001 / 0.999);
    return 1 / (1 + std::exp(-(first + (last - first) * t / std::max(1, count - 1))));
  };
  std::vector<double> betas = {1 - alpha_bar(0)};
  for (int t = 1; t < count; ++t) betas.push_back(1 - alpha_bar(t) / alpha_bar(t - 1));
  return betas;
}

// The variance of p(x_{t-1} | x_t) for the data.
double ExactLogVariance(const VariationalBound& bound, int64_t t) {
  const double before = t == 0 ? 1 : bound.alpha_bar(t - 1);
  const double alpha = bound.alpha_bar(t) / before;
  const double variance_before = before * kDeviation * kDeviation + 1 - before;
  return std::log(variance_before * (1 - alpha) / (alpha * variance_before + 1 - alpha));
}

// The expectation of L_first + ... + L_{T-1} under the data, with the exact denoiser and, where the
// network says it, the exact variance.
double ExpectedTerms(const VariationalBound& bound, int64_t first) {
  const double s2 = kDeviation * kDeviation;
  double total = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const double p = Probability(byte);
    if (p < 1e-12) continue;
    const float x0 = static_cast<float>(Level(byte));
    for (int64_t t = first; t < bound.num_timesteps(); ++t) {
      const double signal = std::sqrt(bound.alpha_bar(t));
      const float v = static_cast<float>(ExactLogVariance(bound, t));
      total += p * OverNoise([&](double noise) {
                 const float eps = static_cast<float>(noise);
                 float x_t = 0;
                 bound.Diffuse(t, {&x0, 1}, {&eps, 1}, {&x_t, 1});
                 const double share = signal * s2 / (signal * signal * s2 + 1 - signal * signal);
                 const float x0_hat = static_cast<float>(kMean + share * (x_t - signal * kMean));
                 return bound.TermBits(t, {&x0, 1}, {&x_t, 1}, {&x0_hat, 1},
                                       {&v, bound.learned() ? size_t{1} : size_t{0}});
               });
    }
  }
  return total;
}

double ExpectedPrior(const VariationalBound& bound) {
  double total = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const float x0 = static_cast<float>(Level(byte));
    total += Probability(byte) * bound.PriorBits({&x0, 1});
  }
  return total;
}

// The reverse process of Gaussian data is Gaussian at any step size, so with its own variance the
// bound has no gap but KL(q(x_T) || N(0, 1)), which no reverse process makes up for.
TEST(VariationalBoundTest, IsTheEntropyForGaussianDataWithTheExactReverseVariance) {
  for (const int timesteps : {1, 2, 7, 30}) {
    const VariationalBound bound(Betas(timesteps), ReverseVariance::kLearned);
    const double last = bound.alpha_bar(timesteps - 1);
    const double gap = GaussianKlBits(std::sqrt(last) * kMean,
                                      std::log(last * kDeviation * kDeviation + 1 - last), 0, 0);
    EXPECT_NEAR(ExpectedPrior(bound) + ExpectedTerms(bound, 0), EntropyBits() + gap, 1e-3)
        << timesteps;
  }
}

// Ho et al. 2020, section 3.2: both fixed variances are right in the limit of small steps (but in
// the last, which does not become small).
TEST(VariationalBoundTest, FixedVariancesComeToTheExactOneAsStepsShrink) {
  for (const ReverseVariance variance :
       {ReverseVariance::kFixedSmall, ReverseVariance::kFixedLarge}) {
    const auto gap = [&](int timesteps) {
      const auto betas = Betas(timesteps);
      return ExpectedTerms(VariationalBound(betas, variance), 1) -
             ExpectedTerms(VariationalBound(betas, ReverseVariance::kLearned), 1);
    };
    const double coarse = gap(25), fine = gap(100), finest = gap(400);
    EXPECT_NEAR(coarse / fine, 4, 1);  // The gap is of the order of the step.
    EXPECT_NEAR(fine / finest, 4, 0.5);
    EXPECT_LT(finest, 0.05);
    EXPECT_GT(finest, 0);
  }
}

TEST(VariationalBoundTest, LearnedRangeGoesFromTheSmallToTheLargeVariance) {
  const auto betas = Betas(5);
  const VariationalBound range(betas, ReverseVariance::kLearnedRange);
  const float x0 = 0.2f, x_t = 0.3f, x0_hat = 0.1f, small = -1, large = 1;
  for (int64_t t = 1; t < 5; ++t) {
    const auto fixed = [&](ReverseVariance variance) {
      return VariationalBound(betas, variance).TermBits(t, {&x0, 1}, {&x_t, 1}, {&x0_hat, 1});
    };
    const auto with = [&](const float& v) {
      return range.TermBits(t, {&x0, 1}, {&x_t, 1}, {&x0_hat, 1}, {&v, 1});
    };
    EXPECT_NEAR(with(small), fixed(ReverseVariance::kFixedSmall), 1e-12) << t;
    EXPECT_NEAR(with(large), fixed(ReverseVariance::kFixedLarge), 1e-12) << t;
  }
}

TEST(DiscretizedGaussianTest, TheBinsHoldAllOfTheMass) {
  for (const double mean : {-1.3, -1.0, -0.2, 0.0, 0.99, 2.0}) {
    for (const double log_scale : {-4.0, -2.0, 0.0}) {
      double mass = 0;
      for (int byte = 0; byte < 256; ++byte) {
        mass += std::exp2(-DiscretizedGaussianBits(Level(byte), mean, log_scale));
      }
      EXPECT_NEAR(mass, 1, 1e-9) << mean << " " << log_scale;
    }
  }
}

TEST(DiscretizedGaussianTest, ImpossibleBytesCostAFiniteNumberOfBits) {
  EXPECT_NEAR(DiscretizedGaussianBits(0.5, -1, -8), -std::log2(1e-12), 1e-9);
}

TEST(GaussianKlTest, MatchesTheClosedForm) {
  EXPECT_EQ(GaussianKlBits(0.3, -1, 0.3, -1), 0);
  // Half of (ln 4 - 1 + 1/4 + 1/4).
  EXPECT_NEAR(GaussianKlBits(1, 0, 0, std::log(4.0)),
              0.5 * (std::log(4.0) - 0.5) * std::numbers::log2e, 1e-12);
}

TEST(ParseReverseVarianceTest, KnowsEveryVarianceTypeAndNamesOthers) {
  EXPECT_EQ(*ParseReverseVariance("fixed_small_log"), ReverseVariance::kFixedSmall);
  EXPECT_EQ(*ParseReverseVariance("fixed_large_log"), ReverseVariance::kFixedLarge);
  EXPECT_EQ(*ParseReverseVariance("learned_range"), ReverseVariance::kLearnedRange);
  const auto status = ParseReverseVariance("wide").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("\"wide\""), std::string::npos);
}

}  // namespace
}  // namespace diffusiond
