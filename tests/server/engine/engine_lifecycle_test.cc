// How a generation comes in, and the ways it can end.
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

absl::Status Refusal(SteppedEngine& engine, GenerationSpec spec) {
  auto listener = std::make_shared<RecordingListener>();
  const absl::Status status = engine.engine().Submit(std::move(spec), listener).status();
  EXPECT_EQ(listener.use_count(), 1) << "a refused listener was kept";
  return status;
}

TEST(EngineOptions, AreChecked) {
  EXPECT_THAT(Engine::Create({.max_trajectories = 0}).status().message(),
              HasSubstr("max_trajectories: 0"));
  EXPECT_THAT(Engine::Create({.max_resident_trajectories = -1}).status().message(),
              HasSubstr("max_resident_trajectories: -1"));
  EXPECT_THAT(Engine::Create({.frame_threads = 0}).status().message(),
              HasSubstr("frame_threads: 0, expected 1 to 256"));
  EXPECT_THAT(Engine::Create({.max_waiting_previews = -1}).status().message(),
              HasSubstr("max_waiting_previews: -1, expected 0 or more"));
  EXPECT_THAT(Engine::Create({.queue_share = 0}).status().message(),
              HasSubstr("queue_share: 0, expected 0.01 to 1"));
  EXPECT_THAT(Engine::Create({.high_priority_share = 1.5}).status().message(),
              HasSubstr("high_priority_share: 1.5, expected 0.01 to 1"));
}

TEST(EngineAdmission, RefusesWhatCannotRun) {
  struct Case {
    std::string expected;
    GenerationSpec spec;
  };
  Case no_images{"trajectories: 0, expected 1 to 4", Images(0, 1, HalvingPlan(1))};
  Case too_many{"trajectories: 5, expected 1 to 4", Images(5, 1, HalvingPlan(1))};
  Case no_plan{"trajectories[1].plan", Images(2, 1, HalvingPlan(1))};
  no_plan.spec.trajectories[1].plan = nullptr;
  Case no_rows{"trajectories[0].plan", Images(1, 1, HalvingPlan(0))};
  Case negative_previews{"preview_every_steps: -1", Images(1, 1, HalvingPlan(1))};
  negative_previews.spec.preview_every_steps = -1;

  SteppedEngine::Options options;
  options.engine.max_trajectories = 4;
  SteppedEngine engine(options);
  for (const Case& c : {no_images, too_many, no_plan, no_rows, negative_previews}) {
    const absl::Status status = Refusal(engine, c.spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.expected));
  }
}

TEST(EngineAdmission, AFullQueueRefusesAtOnceAndHasRoomAgainAfterAnImage) {
  SteppedEngine::Options options;
  options.engine.max_trajectories = 4;
  SteppedEngine engine(options);
  engine.Submit(Images(3, 1, HalvingPlan(1)));
  const absl::Status status = Refusal(engine, Images(2, 2, HalvingPlan(1)));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("3 of 4 images"));
  GenerationSpec other = Images(1, 3, HalvingPlan(1));
  other.address = "other";
  engine.Submit(other);
  engine.Step();
  engine.Submit(Images(4, 4, HalvingPlan(1)));
}

TEST(EngineAdmission, CancelledWorkMakesRoomAtOnce) {
  SteppedEngine::Options options;
  options.engine.max_trajectories = 2;
  SteppedEngine engine(options);
  engine.Submit(Images(2, 1, HalvingPlan(9)));
  engine.Step();
  engine.Cancel(engine.last_id(), absl::CancelledError("client left"));
  engine.Submit(Images(2, 2, HalvingPlan(9)));
}

TEST(EngineAdmission, RefusesADeadlineThatIsPast) {
  SteppedEngine engine;
  GenerationSpec late = Images(1, 1, HalvingPlan(1));
  late.deadline = engine.clock().Now();
  EXPECT_EQ(Refusal(engine, late).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(EngineCancel, FreesRowsAtTheNextStepAndNobodyElseNotices) {
  SteppedEngine engine;
  const GenerationSpec stays = Images(1, 1, NoisyPlan(6));
  auto staying = engine.Submit(stays);
  auto leaving = engine.Submit(Images(3, 2, NoisyPlan(6)));
  const GenerationId leaver = engine.last_id();
  engine.Step();

  std::optional<StepBatch> running = engine.Take();
  engine.Cancel(leaver, absl::CancelledError("client left"));
  EXPECT_EQ(leaving->status(), absl::CancelledError("client left"));
  EXPECT_EQ(engine.executor().ledger().alive(), 4) << "a worker is still using them";
  engine.Finish(*std::move(running));
  EXPECT_EQ(engine.executor().ledger().alive(), 1);

  EXPECT_THAT(Seeds(engine.Step()), ElementsAre(1));
  engine.StepAll();
  EXPECT_TRUE(staying->status().ok());
  EXPECT_EQ(staying->images().at(0).values,
            engine.executor().DrawAlone(stays.trajectories[0]).values);
  EXPECT_THAT(leaving->images(), IsEmpty());
}

TEST(EngineCancel, OfRunningWorkGivesItsResidentPlacesToOthers) {
  SteppedEngine::Options options;
  options.engine.max_resident_trajectories = 2;
  SteppedEngine engine(options);
  engine.Submit(Images(2, 1, HalvingPlan(6)));
  const GenerationId leaver = engine.last_id();
  engine.Submit(Images(2, 2, HalvingPlan(60)));
  std::optional<StepBatch> running = engine.Take();
  ASSERT_THAT(running->tasks.size(), 2u);
  engine.Cancel(leaver, absl::CancelledError("client left"));
  EXPECT_FALSE(engine.Take().has_value()) << "the worker still has the leaver's registers";
  engine.Finish(*std::move(running));
  EXPECT_EQ(engine.StepAll(), 60);
}

TEST(EngineCancel, OfWorkThatWaitsEndsItWithoutAStep) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(2, 1, HalvingPlan(6)));
  engine.Cancel(engine.last_id(), absl::CancelledError("client left"));
  EXPECT_THAT(listener->log(), ElementsAre("finished CANCELLED"));
  EXPECT_THAT(engine.Step(), IsEmpty());
}

TEST(EngineCancel, HasNoEffectOnceFinished) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(1)));
  engine.StepAll();
  engine.Cancel(engine.last_id(), absl::CancelledError("too late"));
  engine.Cancel(12345, absl::CancelledError("nobody"));
  EXPECT_EQ(listener->finished_calls(), 1);
  EXPECT_TRUE(listener->status().ok());
}

TEST(EngineDeadline, FreesRowsAtTheNextStep) {
  SteppedEngine engine;
  GenerationSpec hurried = Images(2, 1, HalvingPlan(50));
  hurried.deadline = engine.clock().Now() + absl::Seconds(10);
  auto listener = engine.Submit(hurried);
  engine.Submit(Images(1, 2, HalvingPlan(50)));
  EXPECT_THAT(Seeds(engine.Step()), UnorderedElementsAre(1, 1, 2));
  engine.clock().Advance(absl::Seconds(10));
  EXPECT_THAT(Seeds(engine.Step()), ElementsAre(2));
  EXPECT_EQ(listener->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(listener->status().message()), HasSubstr("0 of 2 images drawn"));
}

TEST(EngineDeadline, PassedDuringAStepEndsItWithThatStep) {
  SteppedEngine engine;
  GenerationSpec hurried = Images(1, 1, HalvingPlan(50));
  hurried.deadline = engine.clock().Now() + absl::Seconds(10);
  auto listener = engine.Submit(hurried);
  std::optional<StepBatch> running = engine.Take();
  engine.clock().Advance(absl::Seconds(11));
  engine.Finish(*std::move(running));
  EXPECT_THAT(listener->log(), ElementsAre("finished DEADLINE_EXCEEDED"));
}

TEST(EngineDeadline, IsKeptForWorkThatNoWorkerTakes) {
  SteppedEngine engine;
  GenerationSpec other = Images(1, 1, HalvingPlan(3));
  other.model = "other";
  other.deadline = engine.clock().Now() + absl::Seconds(1);
  auto listener = engine.Submit(other);
  engine.clock().Advance(absl::Seconds(1));
  EXPECT_FALSE(engine.Take().has_value());
  EXPECT_EQ(listener->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(EngineTimings, SplitQueueAndCompute) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(2)));
  engine.clock().Advance(absl::Seconds(3));
  engine.Step();
  engine.clock().Advance(absl::Seconds(4));
  engine.Step();
  EXPECT_EQ(listener->timings().queue, absl::Seconds(3));
  EXPECT_EQ(listener->timings().compute, absl::Seconds(4));
}

TEST(EngineDrain, RefusesNewWorkAndWaitsForTheRest) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(3)));
  bool finished = false;
  std::thread drain([&] { finished = engine.engine().Drain(absl::InfiniteFuture()); });
  // Admission closes as the drain begins; until then, what slips in ends with it.
  std::vector<std::shared_ptr<RecordingListener>> slipped_in;
  absl::Status refusal;
  while (refusal.ok()) {
    slipped_in.push_back(std::make_shared<RecordingListener>());
    refusal = engine.engine().Submit(Images(1, 2, HalvingPlan(1)), slipped_in.back()).status();
    engine.Step();
  }
  EXPECT_EQ(refusal.code(), absl::StatusCode::kUnavailable);
  engine.StepAll();
  drain.join();
  EXPECT_TRUE(finished);
  EXPECT_TRUE(listener->status().ok());
}

TEST(EngineDrain, EndsWhatIsLeftAtItsDeadline) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(3)));
  engine.Step();
  EXPECT_FALSE(engine.engine().Drain(engine.clock().Now()));
  engine.AwaitTold();
  EXPECT_EQ(listener->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(engine.Step(), IsEmpty());
}

TEST(EngineDrain, OfAnIdleEngineIsImmediate) {
  SteppedEngine engine;
  EXPECT_TRUE(engine.engine().Drain(engine.clock().Now()));
}

TEST(EngineShutdown, EndsEverythingAndWakesWorkers) {
  SteppedEngine engine;
  auto waiting = engine.Submit(Images(1, 1, HalvingPlan(3)));
  std::optional<StepBatch> running = engine.Take();
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i) {
    const WorkerId worker = engine.engine().AddWorker(engine.capacities());
    workers.emplace_back(
        [&engine, worker] { EXPECT_FALSE(engine.engine().NextBatch(worker).has_value()); });
  }
  engine.engine().Shutdown();
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(waiting->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Refusal(engine, Images(1, 1, HalvingPlan(1))).code(), absl::StatusCode::kUnavailable);
  engine.Finish(*std::move(running));
}

}  // namespace
}  // namespace diffusiond
