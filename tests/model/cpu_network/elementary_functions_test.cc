// exp, SiLU, sine and cosine against the standard library's, in more precision than they claim.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/cpu_network/kernels.h"
#include "model/cpu_network/time_layers.h"

namespace diffusiond {
namespace {

// In units of the last place of a float.
double Ulps(float value, long double exact) {
  const float nearest = static_cast<float>(exact);
  const double ulp = std::nextafter(std::fabs(nearest), INFINITY) - std::fabs(nearest);
  return static_cast<double>(std::fabs(static_cast<long double>(value) - exact)) / ulp;
}

// Every 500th float or so of a range.
std::vector<float> Sweep(float low, float high) {
  std::vector<float> values;
  for (double x = low; x < high; x += (high - low) / 4e6) values.push_back(static_cast<float>(x));
  values.resize(values.size() / kPanel * kPanel);
  return values;
}

TEST(ElementaryFunctionsTest, ExpIsWithinAnUlpOrSo) {
  const std::vector<float> x = Sweep(-87, 88);
  std::vector<float> y = x;
  ExpInPlace(y.data(), y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, Ulps(y[i], std::exp(static_cast<long double>(x[i]))));
  }
  EXPECT_LT(worst, 1.02);
}

TEST(ElementaryFunctionsTest, ExpStaysFiniteFarOut) {
  std::vector<float> x(kPanel);
  const float ends[] = {-1e30f, -1000, -88, 89, 1000, 1e30f, -INFINITY, INFINITY};
  std::copy(std::begin(ends), std::end(ends), x.begin());
  ExpInPlace(x.data(), x.size());
  for (const float value : x) {
    EXPECT_TRUE(std::isfinite(value));
    EXPECT_GT(value, 0);
  }
}

TEST(ElementaryFunctionsTest, SiluIsWithinThreeUlps) {
  const std::vector<float> x = Sweep(-80, 80);
  std::vector<float> y = x;
  SiluInPlace(y.data(), y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const long double exact = x[i];
    worst = std::max(worst, Ulps(y[i], exact / (1 + std::exp(-exact))));
  }
  EXPECT_LT(worst, 3);
}

TEST(ElementaryFunctionsTest, SineAndCosineOfAnyTimestep) {
  for (double x = -3000; x < 3000; x += 0.00173) {
    ASSERT_NEAR(FusedSin(x), static_cast<double>(std::sin(static_cast<long double>(x))), 3e-16);
    ASSERT_NEAR(FusedCos(x), static_cast<double>(std::cos(static_cast<long double>(x))), 3e-16);
  }
  for (const double x : {1e5, -123456.75, 1e6}) {
    EXPECT_NEAR(FusedSin(x), std::sin(x), 1e-12);
    EXPECT_NEAR(FusedCos(x), std::cos(x), 1e-12);
  }
}

TEST(ElementaryFunctionsTest, FrequenciesExponential) {
  for (double x = -10; x <= 0; x += 0.0001) {
    const double exact = static_cast<double>(std::exp(static_cast<long double>(x)));
    ASSERT_NEAR(FusedExp(x), exact, 4e-16 * exact);
  }
}

}  // namespace
}  // namespace diffusiond
