// The engine's counts against what the test knows to have happened.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RecordingMetrics : public EngineMetrics {
 public:
  void OnQueueDepth(const QueueDepth& depth) override {
    depths = {depth.waiting, depth.resident};
    resident_limit = depth.resident_limit;
  }
  void OnRefused(const absl::Status& status) override { refusals.push_back(status.code()); }
  void OnFirstStep(const FirstStep& first_step) override {
    waits.push_back(first_step.queue_wait);
    delays.push_back(first_step.delay_steps);
    priorities.push_back(first_step.priority);
  }
  void OnStep(const Step& step) override {
    EXPECT_EQ(step.model, "model");
    EXPECT_EQ(step.micro_batch, 4);
    EXPECT_EQ(step.capacity, 8);
    network_row_counts.push_back(step.passes);
    durations.push_back(step.duration);
  }
  void OnReleased(int64_t delay_steps) override { releases.push_back(delay_steps); }
  void OnPreemptions(int count) override { preemptions += count; }
  void OnMigrations(int count) override { migrations += count; }
  void OnDeviceFailure(const std::string&) override { ++device_failures; }
  void OnGenerationFinished(const GenerationEnd& end) override {
    codes.push_back(end.status.code());
    ends.push_back(end);
  }

  std::vector<int> depths;
  int resident_limit = 0;
  std::vector<absl::StatusCode> refusals;
  std::vector<absl::Duration> waits;
  std::vector<int64_t> delays;
  std::vector<Priority> priorities;
  std::vector<int64_t> releases;
  int preemptions = 0;
  int migrations = 0;
  std::vector<GenerationEnd> ends;
  std::vector<int> network_row_counts;
  std::vector<absl::Duration> durations;
  int device_failures = 0;
  std::vector<absl::StatusCode> codes;
};

TEST(EngineMetrics, FollowTwoGenerations) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  options.engine.max_resident_trajectories = 3;
  SteppedEngine engine(options);

  GenerationSpec guided = Images(2, 1, HalvingPlan(2));
  for (TrajectorySpec& trajectory : guided.trajectories) trajectory.guidance.scale = 4;
  engine.Submit(guided);
  EXPECT_THAT(metrics.depths, ElementsAre(2, 0));
  engine.clock().Advance(absl::Seconds(2));
  engine.Submit(Images(3, 2, HalvingPlan(9)));
  const GenerationId second = engine.last_id();
  EXPECT_THAT(metrics.depths, ElementsAre(5, 0));

  std::optional<StepBatch> batch = engine.Take();
  EXPECT_THAT(metrics.depths, ElementsAre(2, 3));
  EXPECT_THAT(metrics.waits, ElementsAre(absl::Seconds(2), absl::ZeroDuration()));
  engine.clock().Advance(absl::Milliseconds(30));
  engine.Finish(*std::move(batch));
  EXPECT_THAT(metrics.network_row_counts, ElementsAre(2 + 2 + 1));
  EXPECT_THAT(metrics.durations, ElementsAre(absl::Milliseconds(30)));

  engine.Step();
  EXPECT_THAT(metrics.codes, ElementsAre(absl::StatusCode::kOk));
  EXPECT_THAT(metrics.depths, ElementsAre(2, 1));
  engine.Cancel(second, absl::CancelledError("client left"));
  EXPECT_THAT(metrics.codes, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kCancelled));
  EXPECT_THAT(metrics.depths, ElementsAre(0, 0));
}

TEST(EngineMetrics, TellOfImagesThatBeginWhereNothingElseIsNews) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  SteppedEngine engine(options);
  const WorkerId other = engine.engine().AddWorker(engine.capacities());
  engine.Submit(Images(8, 1, HalvingPlan(2)));
  std::optional<StepBatch> first = engine.Take();
  EXPECT_THAT(metrics.depths, ElementsAre(4, 4));
  std::optional<StepBatch> second = engine.engine().TryNextBatch(other);
  engine.AwaitTold();
  EXPECT_THAT(metrics.depths, ElementsAre(0, 8)) << "the request's first step was begun before";
  engine.Finish(*std::move(first));
  engine.Finish(*std::move(second));
  engine.StepAll();
}

TEST(EngineMetrics, CountDeviceFailuresInsteadOfSteps) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  options.executor.step_fault = [](absl::Span<const StepTask>) {
    return absl::InternalError("device lost");
  };
  SteppedEngine engine(options);
  engine.Submit(Images(1, 1, HalvingPlan(2)));
  EXPECT_EQ(engine.StepAll(), 3);
  EXPECT_EQ(metrics.device_failures, 3);
  EXPECT_THAT(metrics.network_row_counts, IsEmpty());
  EXPECT_THAT(metrics.codes, ElementsAre(absl::StatusCode::kInternal));
}

TEST(EngineMetrics, CountRefusals) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  options.engine.max_trajectories = 2;
  SteppedEngine engine(options);
  engine.Submit(Images(2, 1, HalvingPlan(1)));
  engine.engine().Submit(Images(1, 2, HalvingPlan(1)), nullptr).IgnoreError();
  engine.engine().Drain(engine.clock().Now());
  engine.AwaitTold();
  engine.engine().Submit(Images(1, 2, HalvingPlan(1)), nullptr).IgnoreError();
  EXPECT_THAT(metrics.refusals,
              ElementsAre(absl::StatusCode::kResourceExhausted, absl::StatusCode::kUnavailable));
}

TEST(EngineMetrics, CountDelaysInStepsByPriority) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  options.engine.max_resident_trajectories = 1;
  SteppedEngine engine(options);
  engine.Submit(Images(1, 1, HalvingPlan(3)));
  engine.Step();
  GenerationSpec low = Images(1, 2, HalvingPlan(1));
  low.priority = Priority::kLow;
  engine.Submit(low);
  engine.StepAll();
  EXPECT_THAT(metrics.delays, ElementsAre(0, 2));
  EXPECT_THAT(metrics.priorities, ElementsAre(Priority::kNormal, Priority::kLow));
}

TEST(EngineMetrics, CountTheStepsThatAnEndedGenerationStillTook) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  SteppedEngine engine(options);
  engine.Submit(Images(9, 1, HalvingPlan(9)));
  std::optional<StepBatch> batch = engine.Take();
  engine.Cancel(engine.last_id(), absl::CancelledError("client left"));
  EXPECT_THAT(metrics.releases, ElementsAre(0)) << "the one that waited";
  engine.Finish(*std::move(batch));
  EXPECT_THAT(metrics.releases, ElementsAre(0, 1, 1, 1, 1, 1, 1, 1, 1));
  engine.Submit(Images(1, 2, HalvingPlan(1)));
  engine.StepAll();
  EXPECT_EQ(metrics.releases.size(), 9u) << "what ends by itself is no matter";
}

TEST(EngineMetrics, CountPreemptionsAndMigrations) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  SteppedEngine engine(options);
  engine.Submit(Images(8, 1, HalvingPlan(50)));
  engine.Step();
  EXPECT_EQ(metrics.preemptions, 0);
  GenerationSpec urgent = Images(3, 2, HalvingPlan(2));
  urgent.priority = Priority::kHigh;
  engine.Submit(urgent);
  engine.Step();  // Three of the eight wait for two steps.
  engine.Step();
  engine.Step();
  EXPECT_EQ(metrics.preemptions, 3);
  EXPECT_EQ(metrics.migrations, 0);
  const WorkerId other = engine.engine().AddWorker(engine.capacities());
  engine.Finish(*engine.engine().TryNextBatch(other));
  EXPECT_EQ(metrics.migrations, 4) << "half of what waits, the first worker is idle";
}

TEST(EngineMetrics, CompareThePredictedWithTheActualFinish) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  SteppedEngine engine(options);
  const auto step = [&engine] {
    std::optional<StepBatch> batch = engine.Take();
    engine.clock().Advance(absl::Milliseconds(100));
    engine.Finish(*std::move(batch));
  };
  engine.Submit(Images(8, 1, HalvingPlan(1)));
  step();
  EXPECT_FALSE(metrics.ends.at(0).predicted.has_value()) << "no step was measured yet";
  GenerationSpec spec = Images(8, 2, HalvingPlan(10));
  spec.deadline = engine.clock().Now() + absl::Seconds(2);
  engine.Submit(spec);
  for (int i = 0; i < 10; ++i) step();
  ASSERT_EQ(metrics.ends.size(), 2u);
  EXPECT_TRUE(metrics.ends[1].had_deadline);
  EXPECT_EQ(metrics.ends[1].duration, absl::Seconds(1));
  EXPECT_EQ(metrics.ends[1].predicted, absl::Seconds(1));
}

// A client that was told "finished" and scrapes at once must find itself counted.
TEST(EngineMetrics, CountAGenerationBeforeItsListenerHears) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  SteppedEngine engine(options);
  std::vector<absl::StatusCode> seen;
  auto listener = std::make_shared<RecordingListener>([&](const std::string& line) {
    if (line == "finished OK") seen = metrics.codes;
  });
  ASSERT_TRUE(engine.engine().Submit(Images(1, 1, HalvingPlan(1)), listener).ok());
  engine.StepAll();
  EXPECT_THAT(seen, ElementsAre(absl::StatusCode::kOk));
}

}  // namespace
}  // namespace diffusiond
