// Two Gaussian classes: log p(class | x_t), its gradient, and x0-hat with and without the class are
// all known, so a classifier must guide exactly as the denoiser does that knows the class.
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/sampler.h"

namespace diffusiond {
namespace {

constexpr ImageShape kShape = {1, 1, 3};
constexpr size_t kElements = 3;
constexpr int64_t kNullLabel = 2;
constexpr double kDeviation = 0.35;
constexpr double kMeans[2][kElements] = {{0.6, -0.2, 0.1}, {-0.4, 0.3, 0.1}};
constexpr double kPrior[2] = {0.5, 0.5};

// One image as the networks are given it: S x_0 + N z of a class.
class NoisedClasses {
 public:
  explicit NoisedClasses(const PlanRow& row)
      : signal_(row.c_in * row.signal),
        variance_(signal_ * signal_ * kDeviation * kDeviation +
                  row.c_in * row.c_in * row.noise * row.noise) {}

  std::array<double, 2> Posterior(std::span<const float> in) const {
    std::array<double, 2> log_p = {}, p = {};
    for (size_t k = 0; k < 2; ++k) {
      log_p[k] = std::log(kPrior[k]);
      for (size_t i = 0; i < kElements; ++i) {
        log_p[k] -= std::pow(in[i] - signal_ * kMeans[k][i], 2) / (2 * variance_);
      }
    }
    p[1] = 1 / (1 + std::exp(log_p[0] - log_p[1]));
    p[0] = 1 - p[1];
    return p;
  }

  // E[x_0 | in, class].
  double Clean(std::span<const float> in, size_t i, size_t k) const {
    const double gain = signal_ * kDeviation * kDeviation / variance_;
    return kMeans[k][i] + gain * (in[i] - signal_ * kMeans[k][i]);
  }

  // Of log p(in | class).
  double Score(std::span<const float> in, size_t i, size_t k) const {
    return -(in[i] - signal_ * kMeans[k][i]) / variance_;
  }

 private:
  double signal_, variance_;
};

// Networks are told a timestep; these are told the plan's row, so that any plan will do.
class ExactDenoiser : public Denoiser {
 public:
  ExactDenoiser(const PlanRow* const* row, int rows) : row_(row), rows_(rows) {}
  ImageShape shape() const override { return kShape; }
  int micro_batch() const override { return rows_; }
  absl::Status Predict(std::span<const float> x, std::span<const float>,
                       std::span<const int64_t> labels, std::span<float> f) override {
    const PlanRow& row = **row_;
    const NoisedClasses classes(row);
    for (size_t r = 0; r < labels.size(); ++r) {
      const auto in = x.subspan(r * kElements, kElements);
      const auto p = classes.Posterior(in);
      for (size_t i = 0; i < kElements; ++i) {
        const double clean = labels[r] == kNullLabel
                                 ? p[0] * classes.Clean(in, i, 0) + p[1] * classes.Clean(in, i, 1)
                                 : classes.Clean(in, i, static_cast<size_t>(labels[r]));
        f[r * kElements + i] = static_cast<float>((clean - row.d_x * in[i] / row.c_in) / row.d_f);
      }
    }
    return absl::OkStatus();
  }

 private:
  const PlanRow* const* row_;
  const int rows_;
};

class ExactClassifier : public NoiseClassifier {
 public:
  ExactClassifier(const PlanRow* const* row, int rows, ImageShape shape = kShape)
      : row_(row), rows_(rows), shape_(shape) {}
  ImageShape shape() const override { return shape_; }
  int micro_batch() const override { return rows_; }
  absl::Status Gradient(std::span<const float> x, std::span<const float>,
                        std::span<const int64_t> labels, std::span<float> gradient) override {
    const NoisedClasses classes(**row_);
    for (size_t r = 0; r < labels.size(); ++r) {
      const auto in = x.subspan(r * kElements, kElements);
      const auto p = classes.Posterior(in);
      for (size_t i = 0; i < kElements; ++i) {
        const double expected = p[0] * classes.Score(in, i, 0) + p[1] * classes.Score(in, i, 1);
        gradient[r * kElements + i] =
            static_cast<float>(classes.Score(in, i, static_cast<size_t>(labels[r])) - expected);
      }
    }
    return absl::OkStatus();
  }

 private:
  const PlanRow* const* row_;
  const int rows_;
  const ImageShape shape_;
};

struct Image {
  int64_t label = 0;  // What the denoiser is told.
  Guidance guidance = {};
};

// The registers of every image after each row; all in one batch.
std::vector<std::vector<std::vector<float>>> Draw(const SamplingPlan& plan,
                                                  const std::vector<Image>& images) {
  constexpr int kRows = 2, kLanes = 2;
  const PlanRow* row = nullptr;
  std::vector<std::unique_ptr<Denoiser>> lanes;
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
  for (int i = 0; i < kLanes; ++i) {
    lanes.push_back(std::make_unique<ExactDenoiser>(&row, kRows));
    classifiers.push_back(std::make_unique<ExactClassifier>(&row, kRows));
  }
  auto runner = PlanRunner::Create(std::move(lanes), std::move(classifiers));
  EXPECT_TRUE(runner.ok()) << runner.status();
  std::vector<PlanTask> tasks;
  for (const Image& image : images) {
    tasks.push_back(PlanTask{.plan = &plan,
                             .seed = 7,
                             .label = image.label,
                             .null_label = kNullLabel,
                             .guidance = image.guidance,
                             .before = {},
                             .after = {},
                             .clean = {},
                             .status = {}});
  }
  std::vector<std::vector<std::vector<float>>> trace;
  for (size_t i = 0; i < plan.rows.size(); ++i) {
    row = &plan.rows[i];
    std::vector<std::vector<float>> before;
    if (i > 0) before = trace.back();
    for (size_t j = 0; j < tasks.size(); ++j) {
      tasks[j].row = static_cast<int>(i);
      if (i > 0) tasks[j].before = before[j];
    }
    const absl::Status status = (*runner)->Step(tasks);
    EXPECT_TRUE(status.ok()) << status;
    trace.emplace_back();
    for (const PlanTask& task : tasks) {
      EXPECT_TRUE(task.status.ok()) << task.status;
      trace.back().push_back(task.after);
    }
  }
  return trace;
}

struct Case {
  std::string name;
  SchedulerConfig scheduler;
  SamplingOptions options;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](const SchedulerConfig& scheduler, const std::string& sampler) {
    SamplingOptions options = ForSampler(sampler, DefaultSamplingOptions(scheduler));
    options.steps = 12;
    if (sampler == "annealed_langevin") options.langevin_steps = 20;
    options.eta = 0.5;
    options.clip_sample = false;
    cases.push_back(
        {absl::StrCat(sampler, " ", scheduler.prediction_type, " ", scheduler.class_name),
         scheduler, options});
  };
  for (const std::string prediction : {"epsilon", "sample", "v_prediction", "score"}) {
    SchedulerConfig scheduler;
    scheduler.prediction_type = prediction;
    for (const Sampler& sampler : Samplers()) {
      if (CanRun(sampler, scheduler)) add(scheduler, sampler.name);
    }
  }
  const SchedulerConfig edm = SchedulerDefaults("EDMEulerScheduler");
  for (const Sampler& sampler : Samplers()) {
    if (CanRun(sampler, edm)) add(edm, sampler.name);
  }
  return cases;
}

TEST(ClassifierGuidanceTest, GuidesTheDenoiserOfNoClassAsTheOneOfTheClassGuides) {
  size_t compared = 0;
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    const auto model = MakeModelSchedule(c.scheduler);
    ASSERT_TRUE(model.ok()) << model.status();
    const auto plan = CompilePlan(*model, c.options);
    ASSERT_TRUE(plan.ok()) << plan.status();
    std::vector<Image> images;
    for (const double gamma : {1.0, 2.5}) {
      for (const int64_t label : {0, 1}) {
        images.push_back({.label = label, .guidance = {.scale = gamma}});
        // Scale 0 asks the denoiser of no class, and the classifier for the class.
        images.push_back({.label = label, .guidance = {.scale = 0, .classifier_scale = gamma}});
      }
    }
    const auto trace = Draw(*plan, images);
    for (size_t i = 0; i < trace.size(); ++i) {
      for (size_t j = 0; j < images.size(); j += 2) {
        for (size_t at = 0; at < trace[i][j].size(); ++at) {
          const float by_label = trace[i][j][at], by_classifier = trace[i][j + 1][at];
          ASSERT_NEAR(by_classifier, by_label, 1e-3 * std::max(1.0f, std::abs(by_label)))
              << "row " << i << ", image " << j << ", value " << at;
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 1000u);
}

SamplingPlan DdimPlan(const SchedulerConfig& scheduler) {
  SamplingOptions options = ForSampler("ddim", DefaultSamplingOptions(scheduler));
  options.steps = 10;
  options.timestep_spacing = TimestepSpacing::kTrailing;
  options.clip_sample = false;
  const auto model = MakeModelSchedule(scheduler);
  EXPECT_TRUE(model.ok()) << model.status();
  const auto plan = CompilePlan(*model, options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

TEST(ClassifierGuidanceTest, ActsInItsIntervalOnlyAndLeavesTheOthersAlone) {
  const SamplingPlan plan = DdimPlan({});
  const Image plain = {.label = 0};
  const Image inside = {.label = 0,
                        .guidance = {.classifier_scale = 3, .sigma_min = 0.3, .sigma_max = 5}};
  const Image nowhere = {.label = 0, .guidance = {.classifier_scale = 3, .sigma_min = 1e6}};
  const auto trace = Draw(plan, {plain, inside, nowhere});
  EXPECT_EQ(trace.back()[2], trace.back()[0]);
  EXPECT_NE(trace.back()[1], trace.back()[0]);
  EXPECT_EQ(Draw(plan, {plain}).back()[0], trace.back()[0]);
  EXPECT_EQ(Draw(plan, {inside}).back()[0], trace.back()[1]);
  for (const PlanRow& row : plan.rows) {
    EXPECT_EQ(NetworkPasses(inside.guidance, row), Sigma(row) >= 0.3 && Sigma(row) <= 5 ? 2 : 1);
    EXPECT_EQ(NetworkPasses({.scale = 2, .classifier_scale = 3}, row), 3);
  }
}

TEST(ClassifierGuidanceTest, IsNotAskedAboutPureNoise) {
  SchedulerConfig scheduler;
  scheduler.rescale_betas_zero_snr = true;
  scheduler.prediction_type = "v_prediction";
  const SamplingPlan plan = DdimPlan(scheduler);
  const Guidance guidance = {.classifier_scale = 2};
  ASSERT_EQ(plan.rows.front().signal, 0);
  EXPECT_FALSE(guidance.AsksClassifier(plan.rows.front()));
  EXPECT_TRUE(guidance.AsksClassifier(plan.rows[1]));
}

TEST(ClassifierGuidanceTest, NeedsAClassifierThatFits) {
  const PlanRow* row = nullptr;
  const auto denoisers = [&] {
    std::vector<std::unique_ptr<Denoiser>> lanes;
    lanes.push_back(std::make_unique<ExactDenoiser>(&row, 2));
    return lanes;
  };
  struct Misfit {
    int count, rows;
    ImageShape shape;
  };
  for (const Misfit& misfit : {Misfit{2, 2, kShape}, {1, 3, kShape}, {1, 2, {1, 3, 3}}}) {
    std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
    for (int i = 0; i < misfit.count; ++i) {
      classifiers.push_back(std::make_unique<ExactClassifier>(&row, misfit.rows, misfit.shape));
    }
    EXPECT_EQ(PlanRunner::Create(denoisers(), std::move(classifiers)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  const SamplingPlan plan = DdimPlan({});
  row = &plan.rows[0];
  auto runner = PlanRunner::Create(denoisers());
  ASSERT_TRUE(runner.ok()) << runner.status();
  PlanTask task;
  task.plan = &plan;
  task.guidance.classifier_scale = 1;
  EXPECT_EQ((*runner)->Step({&task, 1}).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace diffusiond
