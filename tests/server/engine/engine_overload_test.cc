// More work than the machine carries, with deadlines, on a simulated clock: what is admitted is
// drawn in time, and the machine's time is not spent on what comes too late.
#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

constexpr int kCapacity = 4;
constexpr int kShort = 20, kLong = 250;
constexpr double kShortPart = 0.8;
const absl::Duration kStep = absl::Milliseconds(11);

// What load is offered, and how the machine misbehaves.
struct Conditions {
  double load = 1;   // Work offered over what the machine can do.
  double noise = 0;  // Standard deviation of a step's log duration.
  double drift = 0;  // The same, of what changes over seconds.
  absl::Duration short_deadline = absl::Seconds(2);
  absl::Duration long_deadline = absl::Seconds(12);
};

struct Outcome {
  double useful =
      0;  // Part of the rows that the machine could run that ended up in images in time.
  int in_time = 0, late = 0, refused = 0;
};

// Tells how a generation ended.
class Verdict : public GenerationListener {
 public:
  Verdict(Outcome* outcome, int64_t* useful_rows, int rows)
      : outcome_(outcome), useful_rows_(useful_rows), rows_(rows) {}
  void OnProgress(const StepProgress&) override {}
  void OnPreview(int, int, double, PreviewContent, Frame) override {}
  void OnImage(int, Frame) override {}
  void OnFinished(absl::Status status, GenerationTimings) override {
    if (status.ok()) *useful_rows_ += rows_;
    ++(status.ok() ? outcome_->in_time : outcome_->late);
  }

 private:
  Outcome* const outcome_;
  int64_t* const useful_rows_;
  const int rows_;
};

// Poisson arrivals for a simulated minute and a half, of which the first quarter only fills the
// queue.
class Overload {
 public:
  explicit Overload(const Conditions& conditions) : conditions_(conditions), engine_(Options()) {}

  Outcome Run() {
    const absl::Time begin = engine_.clock().Now();
    const absl::Time measured_from = begin + absl::Seconds(22), end = begin + absl::Seconds(90);
    // The engine knows its pace before the flood, as a server does that has drawn something.
    engine_.Submit(Images(kCapacity, 1, HalvingPlan(kShort)));
    while (RunOneStep()) {
    }
    absl::Time next = engine_.clock().Now();
    bool measuring = false;
    while (engine_.clock().Now() < end) {
      const absl::Time now = engine_.clock().Now();
      if (!measuring && now >= measured_from) {
        measuring = true;
        outcome_ = Outcome();
        useful_rows_ = possible_rows_ = 0;
      }
      for (; next <= now; next += Gap()) Arrive();
      if (RunOneStep()) continue;
      engine_.clock().Advance(next - now);
      possible_rows_ += static_cast<int64_t>(kCapacity * absl::FDivDuration(next - now, kStep));
    }
    outcome_.useful = static_cast<double>(useful_rows_) / static_cast<double>(possible_rows_);
    return outcome_;
  }

 private:
  static SteppedEngine::Options Options() {
    SteppedEngine::Options options;
    options.engine.max_trajectories = 100'000;
    options.engine.max_resident_trajectories = 1000;
    options.executor.capacity = kCapacity;
    options.executor.micro_batch = 2;
    return options;
  }

  absl::Duration Gap() {
    const double mean_rows = kShortPart * kShort + (1 - kShortPart) * kLong;
    const double rate = conditions_.load * kCapacity / mean_rows;
    return std::exponential_distribution<double>(rate)(random_) * kStep;
  }

  void Arrive() {
    const bool is_short = std::bernoulli_distribution(kShortPart)(random_);
    const int rows = is_short ? kShort : kLong;
    GenerationSpec spec = Images(1, 1, is_short ? short_plan_ : long_plan_);
    spec.deadline =
        engine_.clock().Now() + (is_short ? conditions_.short_deadline : conditions_.long_deadline);
    const auto id = engine_.engine().Submit(
        std::move(spec), std::make_shared<Verdict>(&outcome_, &useful_rows_, rows));
    if (!id.ok()) ++outcome_.refused;
  }

  bool RunOneStep() {
    std::optional<StepBatch> batch = engine_.Take();
    if (!batch.has_value()) return false;
    // An Ornstein-Uhlenbeck process of about five seconds beside the noise of each step.
    std::normal_distribution<double> normal;
    constexpr double kMemory = 0.998;
    drift_ =
        kMemory * drift_ + std::sqrt(1 - kMemory * kMemory) * conditions_.drift * normal(random_);
    const absl::Duration step = kStep * std::exp(drift_ + conditions_.noise * normal(random_));
    engine_.clock().Advance(step);
    engine_.Finish(*std::move(batch));
    possible_rows_ += kCapacity;
    return true;
  }

  const Conditions conditions_;
  std::mt19937 random_{5};
  const std::shared_ptr<const SamplingPlan> short_plan_ = HalvingPlan(kShort);
  const std::shared_ptr<const SamplingPlan> long_plan_ = HalvingPlan(kLong);
  double drift_ = 0;
  int64_t useful_rows_ = 0, possible_rows_ = 0;
  Outcome outcome_;
  SteppedEngine engine_;
};

struct OverloadCase {
  std::string name;
  Conditions conditions;
  double least_useful = 0;
  double most_late = 0;  // Part of what was admitted.
};

class OverloadTable : public ::testing::TestWithParam<OverloadCase> {};

TEST_P(OverloadTable, WhatIsAdmittedIsDrawnInTimeAndNoTimeIsWasted) {
  const OverloadCase& c = GetParam();
  const Outcome outcome = Overload(c.conditions).Run();
  EXPECT_GE(outcome.useful, c.least_useful);
  EXPECT_LE(outcome.late, c.most_late * (outcome.in_time + outcome.late));
  RecordProperty("useful", std::to_string(outcome.useful));
  RecordProperty("late", outcome.late);
  RecordProperty("refused", outcome.refused);
}

INSTANTIATE_TEST_SUITE_P(
    Engine, OverloadTable,
    ::testing::Values(
        OverloadCase{"Below", {.load = 0.85}, 0.84, 0}, OverloadCase{"Twice", {.load = 2}, 0.98, 0},
        OverloadCase{"Thrice", {.load = 3}, 0.98, 0},
        OverloadCase{"TenTimes", {.load = 10}, 0.98, 0},
        OverloadCase{"NoisySteps", {.load = 3, .noise = 0.2}, 0.97, 0.01},
        OverloadCase{"DriftingPace", {.load = 3, .drift = 0.15}, 0.97, 0.04},
        OverloadCase{"NoisyAndDrifting", {.load = 3, .noise = 0.2, .drift = 0.3}, 0.93, 0.07},
        OverloadCase{"AllAreInAHurry", {.load = 3, .long_deadline = absl::Seconds(4)}, 0.95, 0},
        OverloadCase{
            "NobodyIs",
            {.load = 3, .short_deadline = absl::Seconds(30), .long_deadline = absl::Seconds(30)},
            0.97,
            0}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace diffusiond
