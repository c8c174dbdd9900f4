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
  void OnQueueDepth(int waiting, int resident) override { depths = {waiting, resident}; }
  void OnRefused(const absl::Status& status) override { refusals.push_back(status.code()); }
  void OnFirstStep(absl::Duration wait) override { waits.push_back(wait); }
  void OnStepBatch(const std::string& model, int network_rows, int micro_batch,
                   absl::Duration duration) override {
    EXPECT_EQ(model, "model");
    EXPECT_EQ(micro_batch, 4);
    network_row_counts.push_back(network_rows);
    durations.push_back(duration);
  }
  void OnDeviceFailure(const std::string&) override { ++device_failures; }
  void OnGenerationFinished(const absl::Status& status) override { codes.push_back(status.code()); }

  std::vector<int> depths;
  std::vector<absl::StatusCode> refusals;
  std::vector<absl::Duration> waits;
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
  for (TrajectorySpec& trajectory : guided.trajectories) trajectory.guidance_scale = 4;
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
  engine.engine().Cancel(second, absl::CancelledError("client left"));
  EXPECT_THAT(metrics.codes, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kCancelled));
  EXPECT_THAT(metrics.depths, ElementsAre(0, 0));
}

TEST(EngineMetrics, CountDeviceFailuresInsteadOfSteps) {
  RecordingMetrics metrics;
  SteppedEngine::Options options;
  options.engine.metrics = &metrics;
  options.executor.step_fault = [](absl::Span<const StepRow>) {
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
  engine.engine().Submit(Images(1, 2, HalvingPlan(1)), nullptr).IgnoreError();
  EXPECT_THAT(metrics.refusals,
              ElementsAre(absl::StatusCode::kResourceExhausted, absl::StatusCode::kUnavailable));
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
