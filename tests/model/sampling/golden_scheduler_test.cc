// The tables and timesteps under <golden>/scheduler (tests/golden/README.md).
// tests/server/worker/golden_trajectory_test.cc runs the trajectories there.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model/checkpoint/safetensors.h"
#include "model/sampling/sampler.h"
#include "tests/model/sampling/golden_schedulers.h"

namespace diffusiond {
namespace {

// What a sampler of that class visits; it may refuse what diffusers gives twice or out of range.
absl::StatusOr<std::vector<double>> VisitedTimesteps(const std::string& class_name, int64_t steps,
                                                     const std::string& spacing, int64_t offset) {
  SchedulerConfig config = SchedulerDefaults(class_name);
  config.timestep_spacing = spacing;
  config.steps_offset = offset;
  const auto model = MakeModelSchedule(config);
  if (!model.ok()) return model.status();
  SamplingOptions options = DefaultSamplingOptions(config);
  options.steps = steps;
  options.arithmetic = Arithmetic::kDiffusers;
  const auto plan = CompilePlan(*model, options);
  if (!plan.ok()) return plan.status();
  std::vector<double> timesteps;
  for (const PlanRow& row : plan->rows) timesteps.push_back(row.timestep);
  return timesteps;
}

TEST(GoldenTimestepsTest, EverySpacingAtEveryStepCount) {
  const nlohmann::json golden = ReadGoldenJson(GoldenSchedulers() / "timesteps.json");
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
  auto file = SafetensorsFile::Open(GoldenSchedulers() / "tables.safetensors");
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
    const auto betas = GoldenValues<float>(file->tensors(), name + "/betas");
    const auto alphas = GoldenValues<float>(file->tensors(), name + "/alphas_cumprod");
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
