// Every case under <golden>/elbo: diffusers' noise through our bound must give diffusers' bits per
// dimension (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "model/checkpoint/safetensors.h"
#include "model/diffusion/variational_bound.h"
#include "nlohmann/json.hpp"
#include "tests/model/checkpoint/golden_directory.h"

namespace diffusiond {
namespace {

nlohmann::json Cases() {
  std::ifstream file(GoldenDirectory() / "elbo" / "elbo.json");
  return nlohmann::json::parse(file).at("cases");
}

template <typename T>
std::vector<T> Values(const TensorMap& tensors, const std::string& name) {
  const TensorView& view = tensors.at(name);
  std::vector<T> values(view.data.size() / sizeof(T));
  std::memcpy(values.data(), view.data.data(), view.data.size());
  return values;
}

// The exact x0-hat for x_0 ~ N(mu, s^2), in the float32 steps of a network that predicts `type`.
void ExactDenoiser(const std::string& type, double alpha_bar, double s, bool clip,
                   std::span<const float> x_t, std::span<const double> mu, std::span<float> x0_hat,
                   std::span<float> v) {
  const double signal = std::sqrt(alpha_bar), noise = std::sqrt(1 - alpha_bar);
  for (size_t i = 0; i < x_t.size(); ++i) {
    const double residual = (x_t[i] - signal * mu[i]) / (alpha_bar * s * s + 1 - alpha_bar);
    const float eps = static_cast<float>(noise * residual);
    x0_hat[i] = type == "START_X" ? static_cast<float>(mu[i] + signal * s * s * residual)
                                  : static_cast<float>((x_t[i] - noise * eps) / signal);
    if (clip) x0_hat[i] = std::clamp(x0_hat[i], -1.0f, 1.0f);
    if (!v.empty()) v[i] = static_cast<float>(std::tanh(0.5 * x_t[i]));
  }
}

class GoldenElboTest : public testing::TestWithParam<nlohmann::json> {};

TEST_P(GoldenElboTest, EveryTermMatches) {
  const nlohmann::json& d = GetParam();
  const std::string name = d.at("name");
  auto file = SafetensorsFile::Open(GoldenDirectory() / "elbo" / "elbo.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto get = [&](const std::string& field) {
    return Values<float>(file->tensors(), name + "/" + field);
  };
  const auto variance = ParseReverseVariance(absl::AsciiStrToLower(d.at("variance")));
  ASSERT_TRUE(variance.ok()) << variance.status();
  const auto betas = Values<double>(file->tensors(), name + "/betas_f64");
  const auto mu = Values<double>(file->tensors(), name + "/mu_f64");
  const VariationalBound bound(betas, *variance);
  const auto x0 = get("x0"), noise = get("noise"), vb = get("vb"), prior = get("prior_bpd"),
             total = get("total_bpd"), x0_mse = get("xstart_mse");

  const size_t images = d.at("shape")[0], all = x0.size(), n = all / images;
  const size_t timesteps = betas.size();
  ASSERT_EQ(timesteps, d.at("timesteps"));
  std::vector<float> x_t(n), x0_hat(n), v(bound.learned() ? n : 0);
  for (size_t b = 0; b < images; ++b) {
    const auto image = std::span(x0).subspan(b * n, n);
    double sum = bound.PriorBits(image);
    EXPECT_NEAR(sum, prior[b], 5e-5);
    for (size_t t = 0; t < timesteps; ++t) {
      const int64_t timestep = static_cast<int64_t>(t);
      bound.Diffuse(timestep, image, std::span(noise).subspan(t * all + b * n, n), x_t);
      ExactDenoiser(d.at("prediction"), bound.alpha_bar(timestep), d.at("s"), d.at("clip_denoised"),
                    x_t, std::span(mu).subspan(b * n, n), x0_hat, v);
      double mse = 0;
      for (size_t i = 0; i < n; ++i) {
        mse += (x0_hat[i] - image[i]) * (x0_hat[i] - image[i]) / static_cast<double>(n);
      }
      EXPECT_NEAR(mse, x0_mse[b * timesteps + t], 5e-5) << t;
      const double bits = bound.TermBits(timestep, image, x_t, x0_hat, v);
      ASSERT_NEAR(bits, vb[b * timesteps + t], 5e-5) << "image " << b << " timestep " << t;
      sum += bits;
    }
    EXPECT_NEAR(sum, total[b], 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenElboTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.at("name"); });

}  // namespace
}  // namespace diffusiond
