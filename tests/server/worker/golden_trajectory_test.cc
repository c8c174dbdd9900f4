// Every case under <golden>/scheduler through the executor that workers run: diffusers' images and
// diffusers' noise, by our plans, must take diffusers' way (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/sampling/sampler.h"
#include "server/worker/plan_step_executor.h"
#include "tests/model/sampling/golden_schedulers.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string family;
  nlohmann::json description;

  std::string name() const { return family + "_" + description.at("name").get<std::string>(); }
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(GoldenSchedulers())) {
    const std::string family = entry.path().stem();
    if (entry.path().extension() != ".json" || family == "timesteps") continue;
    const nlohmann::json golden = ReadGoldenJson(entry.path());
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

// One case's files and settings.
struct Golden {
  SchedulerConfig config;
  SamplingOptions options;
  int64_t images = 0;
  ImageShape shape;
  double deviation = 0;  // s of the data.
  double tolerance = 0;
  std::vector<float> mu;      // Of the data; repeats.
  std::vector<double> level;  // By evaluation: alpha_bar, or sigma.
  std::vector<double> timesteps;
  float init_scale = 0;
  std::vector<float> x_init;  // [images, C, H, W], as all below.
  std::vector<float> noise;   // By entry of noise_step.
  std::vector<int64_t> noise_step;
  std::vector<float> xs, x0s;  // By entry of step_index; x0s may be empty.
  std::vector<int64_t> step_index;

  size_t image_size() const { return static_cast<size_t>(shape.elements()); }
};

absl::StatusOr<Golden> Read(const Case& c) {
  const nlohmann::json& d = c.description;
  auto file = SafetensorsFile::Open(GoldenSchedulers() / (c.family + ".safetensors"));
  if (!file.ok()) return file.status();
  auto config = ParseSchedulerConfig(d.at("config").dump());
  if (!config.ok()) return config.status();
  const TensorMap& tensors = file->tensors();
  const std::string name = d.at("name").get<std::string>() + "/";

  Golden golden;
  golden.config = *config;
  golden.options = DefaultSamplingOptions(*config);
  golden.options.steps = d.at("num_inference_steps");
  golden.options.arithmetic = Arithmetic::kDiffusers;
  const nlohmann::json& step = d.at("step_kwargs");
  golden.options.eta = step.value("eta", 0.0);
  golden.options.use_clipped_model_output = step.value("use_clipped_model_output", false);
  golden.options.s_churn = step.value("s_churn", golden.options.s_churn);
  golden.options.s_tmin = step.value("s_tmin", golden.options.s_tmin);
  golden.options.s_tmax = step.value("s_tmax", golden.options.s_tmax);
  golden.options.s_noise = step.value("s_noise", golden.options.s_noise);
  const auto shape = d.at("shape").get<std::vector<int>>();
  golden.images = shape.at(0);
  golden.shape = {shape.at(1), shape.at(2), shape.at(3)};
  golden.deviation = d.at("s");
  golden.tolerance = d.at("suggested_abs_tol_xs");
  golden.mu = GoldenValues<float>(tensors, name + "mu");
  golden.level = GoldenValues<double>(tensors, name + "model_level");
  if (tensors.at(name + "timesteps").dtype == Dtype::kI64) {
    const auto timesteps = GoldenValues<int64_t>(tensors, name + "timesteps");
    golden.timesteps.assign(timesteps.begin(), timesteps.end());
  } else {
    const auto timesteps = GoldenValues<float>(tensors, name + "timesteps");
    golden.timesteps.assign(timesteps.begin(), timesteps.end());
  }
  golden.init_scale = GoldenValues<float>(tensors, name + "init_noise_sigma").at(0);
  golden.x_init = GoldenValues<float>(tensors, name + "x_init");
  golden.noise = GoldenValues<float>(tensors, name + "noise");
  golden.noise_step = GoldenValues<int64_t>(tensors, name + "noise_step");
  golden.xs = GoldenValues<float>(tensors, name + "xs");
  golden.x0s = GoldenValues<float>(tensors, name + "x0s");
  golden.step_index = GoldenValues<int64_t>(tensors, name + "step_index");
  return golden;
}

// Knows the data, and is told by the test where in the plan it is asked.
class GoldenDenoiser : public Denoiser {
 public:
  GoldenDenoiser(const Golden* golden, const SamplingPlan* plan, const size_t* row)
      : golden_(*golden), plan_(*plan), row_(*row) {}

  ImageShape shape() const override { return golden_.shape; }
  int micro_batch() const override { return 2; }
  int output_channels() const override {
    return (absl::StartsWith(golden_.config.variance_type, "learned") ? 2 : 1) *
           golden_.shape.channels;
  }

  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override {
    const size_t n = golden_.image_size();
    const size_t outputs = n * static_cast<size_t>(output_channels() / golden_.shape.channels);
    const double level = golden_.level[row_], c_in = plan_.rows[row_].c_in;
    for (size_t image = 0; image < timesteps.size(); ++image) {
      for (size_t k = 0; k < n; ++k) {
        // The data's mean is given for the whole batch; a label is an image's place in it.
        const size_t place = static_cast<size_t>(labels[image]) * n + k;
        const double in = x[image * n + k], mu = golden_.mu[place % golden_.mu.size()];
        f[image * outputs + k] = static_cast<float>(
            golden_.config.is_edm()
                ? ExactEdmPrediction(golden_.config.edm, in / c_in, mu, golden_.deviation, level)
                : ExactPrediction(golden_.config.prediction_type, in, mu, golden_.deviation,
                                  level));
        // The second half of the output of a network that learned the variance.
        if (outputs > n) f[image * outputs + n + k] = static_cast<float>(std::tanh(0.5 * in));
      }
    }
    return absl::OkStatus();
  }

 private:
  const Golden& golden_;
  const SamplingPlan& plan_;
  const size_t& row_;
};

// What diffusers drew in a row. diffusers also draws noise that it multiplies by zero; ours is not
// asked then.
RowNoise NoiseOf(const Golden& golden) {
  return [&golden](uint64_t, uint32_t image_index, uint32_t row, std::span<float> z) {
    const auto found = std::find(golden.noise_step.begin(), golden.noise_step.end(), row);
    ASSERT_NE(found, golden.noise_step.end()) << "diffusers draws nothing at step " << row;
    const auto entry = static_cast<size_t>(found - golden.noise_step.begin());
    const size_t images = static_cast<size_t>(golden.images);
    const auto from =
        golden.noise.begin() + static_cast<ptrdiff_t>((entry * images + image_index) * z.size());
    std::copy(from, from + static_cast<ptrdiff_t>(z.size()), z.begin());
  };
}

// One trajectory per image of the golden batch, from diffusers' first x.
std::vector<TrajectorySpec> Trajectories(const Golden& golden,
                                         std::shared_ptr<const SamplingPlan> plan) {
  std::vector<TrajectorySpec> specs;
  for (int64_t image = 0; image < golden.images; ++image) {
    const auto from = golden.x_init.begin() + image * golden.shape.elements();
    auto noise = std::make_shared<std::vector<float>>(from, from + golden.shape.elements());
    for (float& value : *noise) value /= static_cast<float>(plan->init_scale);
    auto start = std::make_shared<StartingPoint>();
    start->noise = std::move(noise);
    TrajectorySpec spec;
    spec.plan = plan;
    spec.image_index = static_cast<uint32_t>(image);
    spec.class_id = static_cast<int>(image);
    spec.start = std::move(start);
    specs.push_back(std::move(spec));
  }
  return specs;
}

class GoldenTrajectoryTest : public testing::TestWithParam<Case> {};

TEST_P(GoldenTrajectoryTest, MatchesThePeers) {
  const auto golden = Read(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status();
  const auto model = MakeModelSchedule(golden->config);
  ASSERT_TRUE(model.ok()) << model.status();
  auto compiled = CompilePlan(*model, golden->options);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const auto plan = std::make_shared<const SamplingPlan>(*std::move(compiled));
  ASSERT_EQ(plan->rows.size(), golden->timesteps.size());
  EXPECT_EQ(plan->steps, golden->options.steps);
  EXPECT_NEAR(plan->init_scale, golden->init_scale, 1e-6 * golden->init_scale);

  size_t row = 0;
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<GoldenDenoiser>(&*golden, plan.get(), &row));
  auto runner = PlanRunner::Create(std::move(lanes), {}, NoiseOf(*golden));
  ASSERT_TRUE(runner.ok()) << runner.status();
  PlanStepExecutor executor(*std::move(runner), /*null_label=*/0);

  const std::vector<TrajectorySpec> specs = Trajectories(*golden, plan);
  std::vector<StepTask> batch(specs.size());
  size_t kept = 0, compared = 0;
  const size_t n = golden->image_size();
  for (row = 0; row < plan->rows.size(); ++row) {
    ASSERT_NEAR(plan->rows[row].timestep, golden->timesteps[row],
                1e-4 * std::abs(golden->timesteps[row]))
        << "step " << row;
    for (size_t image = 0; image < batch.size(); ++image) {
      std::shared_ptr<const TrajectoryRegisters> before = std::move(batch[image].after);
      batch[image] = {};
      batch[image].spec = &specs[image];
      batch[image].plan_row = static_cast<int>(row);
      batch[image].want_x_t = batch[image].want_x0_hat = true;
      batch[image].before = std::move(before);
    }
    const absl::Status stepped = executor.Step(absl::MakeSpan(batch));
    ASSERT_TRUE(stepped.ok()) << stepped;
    const bool keeps =
        kept < golden->step_index.size() && golden->step_index[kept] == static_cast<int64_t>(row);
    for (size_t image = 0; image < batch.size(); ++image) {
      ASSERT_TRUE(batch[image].status.ok()) << batch[image].status;
      if (!keeps) continue;
      const size_t from = (kept * batch.size() + image) * n;
      for (size_t k = 0; k < n; ++k) {
        ASSERT_NEAR(batch[image].x_t->values[k] / plan->rows[row].preview_scale,
                    golden->xs[from + k], golden->tolerance)
            << "step " << row << " image " << image << " element " << k;
        ++compared;
        if (golden->x0s.empty()) continue;
        ASSERT_NEAR(batch[image].x0_hat->values[k], golden->x0s[from + k], golden->tolerance)
            << "step " << row << " image " << image << " element " << k;
      }
    }
    if (keeps) ++kept;
  }
  EXPECT_EQ(kept, golden->step_index.size());
  EXPECT_EQ(compared, golden->xs.size());
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenTrajectoryTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name(); });

}  // namespace
}  // namespace diffusiond
