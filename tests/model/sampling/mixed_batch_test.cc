// What runs plans knows no sampler: all of them in one batch, one among them made here.
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "tests/testing/gaussian_denoiser.h"

namespace diffusiond {
namespace {

// ------------------------------------------------------------------------------------------------
// All that a new sampler takes: noise x0-hat again, with noise that is half new and half the last
// one's, which a second register keeps.

absl::StatusOr<SamplingPlan> CompileToy(const ModelSchedule& model,
                                        const SamplingOptions& options) {
  const auto timesteps = VisitedTimesteps(model, options);
  if (!timesteps.ok()) return timesteps.status();
  SamplingPlan plan;
  plan.registers = 2;
  plan.steps = static_cast<int>(options.steps);
  const PlanColumns columns(plan.registers);
  for (size_t i = 0; i < timesteps->size(); ++i) {
    const int64_t t = (*timesteps)[i];
    PlanRow row =
        VariancePreservingRow(model, options, model.schedule.alpha_bar(t), static_cast<double>(t));
    LinearExpression x = columns.d();
    const LinearExpression noise = std::sqrt(0.5) * (columns.z() + columns.saved(1));
    if (i + 1 < timesteps->size()) {
      row.next_timestep = static_cast<double>((*timesteps)[i + 1]);
      const double alpha_bar = model.schedule.alpha_bar((*timesteps)[i + 1]);
      x = std::sqrt(alpha_bar) * columns.d() + std::sqrt(1 - alpha_bar) * noise;
    }
    const LinearExpression next[] = {x, columns.z()};
    columns.SetUpdate(next, &row);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

const Sampler& ToySampler() {
  static const auto& sampler =
      *new Sampler{.name = "toy",
                   .description = "noises x0-hat again",
                   .options = {"timestep_spacing", "thresholding", "sample_max_value"},
                   .solver_types = {},
                   .compile = CompileToy};
  return sampler;
}

// ------------------------------------------------------------------------------------------------

ModelSchedule Model() { return *MakeModelSchedule(SchedulerConfig()); }

struct NamedPlan {
  std::string name;
  SamplingPlan plan;
};

// Every sampler, several times with other options, from 3 to 8 steps.
std::vector<NamedPlan> Plans() {
  std::vector<Sampler> samplers = {ToySampler()};
  samplers.insert(samplers.end(), Samplers().begin(), Samplers().end());
  std::vector<NamedPlan> plans;
  for (const Sampler& sampler : samplers) {
    for (const bool other : {false, true}) {
      SamplingOptions options;
      options.steps = 3 + static_cast<int64_t>(plans.size()) % 6;
      options.timestep_spacing = TimestepSpacing::kTrailing;
      options.skip_prk_steps = true;
      if (sampler.langevin_steps > 0) options.langevin_steps = 40;
      if (other) {
        options.steps = 8;
        options.skip_prk_steps = false;
        options.s_churn = 3;
        options.eta = 0.5;
        options.variance = Variance::kFixedLarge;
        options.algorithm_type = DpmAlgorithm::kSde;
        options.solver_order = sampler.name == "dpmpp" ? 2 : 3;
        options.thresholding = true;
        if (!sampler.solver_types.empty()) {
          options.solver_type = *FromWord<SolverType>(sampler.solver_types.back());
        }
        if (sampler.name == "unipc") options.final_sigmas_type = FinalSigmas::kSigmaMin;
      }
      auto plan = CompilePlan(sampler, Model(), options);
      EXPECT_TRUE(plan.ok()) << plan.status();
      plans.push_back({sampler.name, *std::move(plan)});
    }
  }
  return plans;
}

// Runs the plans of `members` side by side; a plan that has ended leaves the batch. What is left of
// each in its registers.
std::vector<std::vector<float>> Draw(const std::vector<NamedPlan>& plans,
                                     const std::vector<size_t>& members) {
  std::vector<std::unique_ptr<Denoiser>> lanes;
  for (int lane = 0; lane < 2; ++lane) {
    lanes.push_back(std::make_unique<GaussianDenoiser>(
        Model().schedule,
        GaussianDenoiser::Options{.shape = {1, 4, 4}, .micro_batch = 4, .means = {0, 0.3}}));
  }
  const auto runner = *PlanRunner::Create(std::move(lanes));
  std::vector<std::vector<float>> registers(plans.size());
  for (size_t row = 0;; ++row) {
    std::vector<PlanTask> tasks;
    std::vector<size_t> at;
    for (const size_t i : members) {
      if (row >= plans[i].plan.rows.size()) continue;
      PlanTask& task = tasks.emplace_back();
      task.plan = &plans[i].plan;
      task.row = static_cast<int>(row);
      task.seed = i;
      task.label = 1;
      task.guidance.scale = i % 3 == 0 ? 2 : 1;
      task.before = registers[i];
      at.push_back(i);
    }
    if (tasks.empty()) return registers;
    EXPECT_TRUE(runner->Step(tasks).ok());
    for (size_t k = 0; k < tasks.size(); ++k) {
      EXPECT_TRUE(tasks[k].status.ok()) << tasks[k].status;
      registers[at[k]] = std::move(tasks[k].after);
    }
  }
}

TEST(MixedBatchTest, EverySamplerInOneBatchDrawsItsSoloBytes) {
  const std::vector<NamedPlan> plans = Plans();
  ASSERT_EQ(plans.size(), 2 * (Samplers().size() + 1));
  std::vector<size_t> all(plans.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  const auto mixed = Draw(plans, all);
  for (const size_t i : all) EXPECT_EQ(mixed[i], Draw(plans, {i})[i]) << plans[i].name;
}

TEST(MixedBatchTest, ASamplerThatIsNotOfTheBuildIsCheckedAsOthersAre) {
  SamplingOptions options;
  options.steps = 1001;
  EXPECT_EQ(CompilePlan(ToySampler(), Model(), options).status().code(),
            absl::StatusCode::kInvalidArgument);
  options.steps = 5;
  options.thresholding = true;
  options.sample_max_value = 0;
  EXPECT_EQ(CompilePlan(ToySampler(), Model(), options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace diffusiond
