// Every case under <golden>/scheduler: the peer's noise through our plans must give
// the peer's trajectory (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/sampler.h"
#include "nlohmann/json.hpp"
#include "tests/model/checkpoint/golden_directory.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

fs::path SchedulerDirectory() { return GoldenDirectory() / "scheduler"; }

// The peer writes infinities as bare words, which are no JSON; null is "not set" to the parser.
nlohmann::json ReadJson(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return nlohmann::json::parse(absl::StrReplaceAll(text.str(), {{"-Infinity", "null"}}));
}

template <typename T>
std::vector<T> Values(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) return {};
  std::vector<T> values(found->second.data.size() / sizeof(T));
  std::memcpy(values.data(), found->second.data.data(), found->second.data.size());
  return values;
}

// Of either type that the peer has.
std::vector<double> Timesteps(const TensorMap& tensors, const std::string& name) {
  if (tensors.at(name).dtype == Dtype::kI64) {
    const auto values = Values<int64_t>(tensors, name);
    return {values.begin(), values.end()};
  }
  const auto values = Values<float>(tensors, name);
  return {values.begin(), values.end()};
}

struct Case {
  std::string family;
  nlohmann::json description;

  std::string name() const { return family + "_" + description.at("name").get<std::string>(); }
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(SchedulerDirectory())) {
    const std::string family = entry.path().stem();
    if (entry.path().extension() != ".json" || family == "timesteps") continue;
    const nlohmann::json golden = ReadJson(entry.path());
    for (const auto& description : golden.at("cases")) {
      cases.push_back({family, description});
    }
  }
  return cases;
}

// F of the exact predictor for x_0 ~ N(mu, s^2), at x with signal level alpha_bar.
double ExactPrediction(const std::string& type, double x, double mu, double s, double alpha_bar) {
  const double v = alpha_bar * s * s + 1 - alpha_bar;
  const double residual = x - std::sqrt(alpha_bar) * mu;
  const double eps = std::sqrt(1 - alpha_bar) * residual / v;
  const double x0 = mu + std::sqrt(alpha_bar) * s * s / v * residual;
  if (type == "sample") return x0;
  if (type == "v_prediction") return std::sqrt(alpha_bar) * eps - std::sqrt(1 - alpha_bar) * x0;
  return eps;
}

// F of the same at noise level sigma under EDM's preconditioning, for "epsilon".
double ExactEdmPrediction(const EdmConfig& edm, double x, double mu, double s, double sigma) {
  const double variance = sigma * sigma + edm.sigma_data * edm.sigma_data;
  const double d = (s * s * x + sigma * sigma * mu) / (s * s + sigma * sigma);
  return (d - edm.sigma_data * edm.sigma_data / variance * x) * std::sqrt(variance) /
         (sigma * edm.sigma_data);
}

class GoldenSchedulerTest : public testing::TestWithParam<Case> {};

TEST_P(GoldenSchedulerTest, TrajectoryMatches) {
  const nlohmann::json& d = GetParam().description;
  const std::string name = d.at("name");
  auto file = SafetensorsFile::Open(SchedulerDirectory() / (GetParam().family + ".safetensors"));
  ASSERT_TRUE(file.ok()) << file.status();
  const TensorMap& tensors = file->tensors();
  auto config = ParseSchedulerConfig(d.at("config").dump());
  ASSERT_TRUE(config.ok()) << config.status();
  auto model = MakeModelSchedule(*config);
  ASSERT_TRUE(model.ok()) << model.status();

  SamplingOptions options = DefaultSamplingOptions(*config);
  options.steps = d.at("num_inference_steps");
  options.eta = d.at("step_kwargs").value("eta", 0.0);
  options.use_clipped_model_output = d.at("step_kwargs").value("use_clipped_model_output", false);
  options.s_churn = d.at("step_kwargs").value("s_churn", options.s_churn);
  options.s_tmin = d.at("step_kwargs").value("s_tmin", options.s_tmin);
  options.s_tmax = d.at("step_kwargs").value("s_tmax", options.s_tmax);
  options.s_noise = d.at("step_kwargs").value("s_noise", options.s_noise);
  auto plan = CompilePlan(*model, options);
  ASSERT_TRUE(plan.ok()) << plan.status();

  const auto timesteps = Timesteps(tensors, name + "/timesteps");
  const auto mu = Values<float>(tensors, name + "/mu");
  const auto levels = Values<double>(tensors, name + "/model_level");
  auto noise = Values<float>(tensors, name + "/noise");
  const auto noise_step = Values<int64_t>(tensors, name + "/noise_step");
  const auto step_index = Values<int64_t>(tensors, name + "/step_index");
  const auto xs = Values<float>(tensors, name + "/xs");
  const auto x0s = Values<float>(tensors, name + "/x0s");
  std::vector<float> x = Values<float>(tensors, name + "/x_init");
  const size_t n = x.size();
  ASSERT_EQ(plan->rows.size(), timesteps.size());
  EXPECT_EQ(plan->steps, d.at("num_inference_steps"));
  const float init_scale = Values<float>(tensors, name + "/init_noise_sigma").at(0);
  EXPECT_NEAR(plan->init_scale, init_scale, 1e-6 * init_scale);
  const double tolerance = d.at("suggested_abs_tol_xs");

  size_t next_noise = 0, next_kept = 0;
  std::vector<float> f(n), g(n), clean(n);
  x.resize(static_cast<size_t>(plan->registers) * n);
  for (size_t i = 0; i < plan->rows.size(); ++i) {
    const PlanRow& row = plan->rows[i];
    ASSERT_NEAR(row.timestep, timesteps[i], 1e-4 * std::abs(timesteps[i])) << "step " << i;
    for (size_t k = 0; k < n; ++k) {
      const double m = mu[k % mu.size()], s = d.at("s");
      f[k] = static_cast<float>(
          config->is_edm()
              ? ExactEdmPrediction(config->edm, x[k], m, s, levels[i])
              : ExactPrediction(config->prediction_type, row.c_in * x[k], m, s, levels[i]));
    }
    std::span<float> z;
    if (next_noise < noise_step.size() && noise_step[next_noise] == static_cast<int64_t>(i)) {
      z = std::span(noise).subspan(next_noise++ * n, n);
    }
    // The peer also draws noise that it multiplies by zero.
    ASSERT_TRUE(!row.draws_noise || !z.empty()) << "step " << i;
    // The second half of the output of a network that learned the variance.
    for (size_t k = 0; k < n; ++k) g[k] = static_cast<float>(std::tanh(0.5 * row.c_in * x[k]));
    ASSERT_TRUE(ScaleRowNoise(row, g, z).ok());
    ApplyPlanRow(*plan, row, f, z, x, clean);
    if (next_kept < step_index.size() && step_index[next_kept] == static_cast<int64_t>(i)) {
      for (size_t k = 0; k < n; ++k) {
        ASSERT_NEAR(x[k], xs[next_kept * n + k], tolerance) << "step " << i << " element " << k;
        if (!x0s.empty()) {
          ASSERT_NEAR(clean[k], x0s[next_kept * n + k], tolerance) << "step " << i;
        }
      }
      ++next_kept;
    }
  }
  EXPECT_EQ(next_noise, noise_step.size());
  EXPECT_EQ(next_kept, step_index.size());
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenSchedulerTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name(); });

// What a sampler of that class visits; it may refuse what the peer gives twice or out of range.
absl::StatusOr<std::vector<double>> VisitedTimesteps(const std::string& class_name, int64_t steps,
                                                     const std::string& spacing, int64_t offset) {
  SchedulerConfig config = SchedulerDefaults(class_name);
  config.timestep_spacing = spacing;
  config.steps_offset = offset;
  const auto model = MakeModelSchedule(config);
  if (!model.ok()) return model.status();
  SamplingOptions options = DefaultSamplingOptions(config);
  options.steps = steps;
  const auto plan = CompilePlan(*model, options);
  if (!plan.ok()) return plan.status();
  std::vector<double> timesteps;
  for (const PlanRow& row : plan->rows) timesteps.push_back(row.timestep);
  return timesteps;
}

TEST(GoldenTimestepsTest, EverySpacingAtEveryStepCount) {
  const nlohmann::json golden = ReadJson(SchedulerDirectory() / "timesteps.json");
  int compared = 0;
  for (const auto& [key, value] : golden.items()) {
    const std::vector<std::string> parts = absl::StrSplit(key, '|');
    const int64_t offset = parts[2].back() - '0';
    for (const auto& [steps, expected] : value.at("timesteps").items()) {
      SCOPED_TRACE(key + " " + steps);
      const auto actual = VisitedTimesteps(parts[0], std::stoll(steps), parts[1], offset);
      const auto wanted = expected.get<std::vector<double>>();
      const bool out_of_range = *std::max_element(wanted.begin(), wanted.end()) >= 1000;
      const bool twice = std::adjacent_find(wanted.begin(), wanted.end()) != wanted.end();
      if (out_of_range || twice) {
        EXPECT_EQ(actual.status().code(), absl::StatusCode::kInvalidArgument);
        continue;
      }
      ASSERT_TRUE(actual.ok()) << actual.status();
      ASSERT_EQ(actual->size(), wanted.size());
      for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_NEAR((*actual)[i], wanted[i], 1e-4 * wanted[i]) << i;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 250);
}

TEST(GoldenTablesTest, BetasAndAlphasCumprod) {
  auto file = SafetensorsFile::Open(SchedulerDirectory() / "tables.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  for (const std::string name :
       {"linear", "linear_T100", "scaled_linear", "sigmoid", "squaredcos_cap_v2", "linear_zsnr",
        "scaled_linear_zsnr", "squaredcos_cap_v2_zsnr"}) {
    SCOPED_TRACE(name);
    SchedulerConfig config;
    config.rescale_betas_zero_snr = absl::EndsWith(name, "_zsnr");
    config.beta_schedule = std::string(absl::StripSuffix(name, "_zsnr"));
    if (name == "linear_T100") {
      config.beta_schedule = "linear";
      config.num_train_timesteps = 100;
    }
    if (config.beta_schedule == "scaled_linear") {
      config.beta_start = 0.00085;
      config.beta_end = 0.012;
    }
    auto schedule = NoiseSchedule::Create(config);
    ASSERT_TRUE(schedule.ok()) << schedule.status();
    const auto betas = Values<float>(file->tensors(), name + "/betas");
    const auto alphas = Values<float>(file->tensors(), name + "/alphas_cumprod");
    ASSERT_EQ(schedule->betas().size(), betas.size());
    for (size_t t = 0; t < betas.size(); ++t) {
      // The last of the rescaled are quotients of small differences of float32 values.
      const double tolerance = config.rescale_betas_zero_snr ? 1e-5 : 5e-7 * betas[t];
      EXPECT_NEAR(schedule->betas()[t], betas[t], tolerance) << t;
      EXPECT_NEAR(schedule->alphas_cumprod()[t], alphas[t], 3e-7) << t;
    }
  }
}

}  // namespace
}  // namespace diffusiond
