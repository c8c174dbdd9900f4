// What shares a step batch, and that sharing changes nothing.
#include <map>
#include <memory>
#include <optional>
#include <random>
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
using ::testing::UnorderedElementsAre;

TEST(EngineBatching, MixesRequestsPlansAndPositionsInOneBatch) {
  SteppedEngine engine;
  engine.Submit(Images(1, /*seed=*/1, HalvingPlan(5)));
  engine.Step();
  engine.Step();
  engine.Submit(Images(2, /*seed=*/2, NoisyPlan(9)));
  engine.Submit(Images(1, /*seed=*/3, TwoEvaluationPlan(4)));

  std::map<std::pair<uint64_t, uint32_t>, int> plan_rows;
  for (const SeenTask& task : engine.Step()) {
    plan_rows[{task.seed, task.image_index}] = task.plan_row;
  }
  EXPECT_THAT(plan_rows, UnorderedElementsAre(
                             std::pair(std::pair(1u, 0u), 2), std::pair(std::pair(2u, 0u), 0),
                             std::pair(std::pair(2u, 1u), 0), std::pair(std::pair(3u, 0u), 0)));
}

TEST(EngineBatching, ANewRequestJoinsAtTheNextStep) {
  SteppedEngine engine;
  engine.Submit(Images(1, 1, HalvingPlan(100)));
  EXPECT_THAT(Seeds(engine.Step()), ElementsAre(1));
  std::optional<StepBatch> running = engine.Take();
  engine.Submit(Images(1, 2, HalvingPlan(100)));
  engine.Finish(*std::move(running));
  EXPECT_THAT(Seeds(engine.Step()), UnorderedElementsAre(1, 2));
}

TEST(EngineBatching, AFinishedImageLeavesAndAWaitingOneEnters) {
  SteppedEngine::Options options;
  options.executor.capacity = 2;
  options.executor.micro_batch = 2;
  SteppedEngine engine(options);
  engine.Submit(Images(1, 1, HalvingPlan(2)));
  engine.Submit(Images(1, 2, HalvingPlan(3)));
  engine.Submit(Images(1, 3, HalvingPlan(4)));
  EXPECT_THAT(Seeds(engine.Step()), UnorderedElementsAre(1, 2));
  EXPECT_THAT(Seeds(engine.Step()), UnorderedElementsAre(1, 2));
  EXPECT_THAT(Seeds(engine.Step()), UnorderedElementsAre(2, 3));
  EXPECT_THAT(Seeds(engine.Step()), UnorderedElementsAre(3));
}

TEST(EngineBatching, GuidanceTakesTwoNetworkPasses) {
  SteppedEngine::Options options;
  options.executor.capacity = 4;
  SteppedEngine engine(options);
  GenerationSpec guided = Images(3, 1, HalvingPlan(2));
  for (TrajectorySpec& trajectory : guided.trajectories) {
    trajectory.guidance.scale = 3;
    trajectory.class_id = 5;
  }
  engine.Submit(guided);
  EXPECT_EQ(engine.Step().size(), 2u);  // FakeExecutor refuses more than its capacity.
}

TEST(EngineBatching, AClassifierTakesOneNetworkRowMore) {
  SteppedEngine::Options options;
  options.executor.capacity = 7;
  SteppedEngine engine(options);
  GenerationSpec guided = Images(3, 1, HalvingPlan(2));
  for (TrajectorySpec& trajectory : guided.trajectories) {
    trajectory.guidance = {.scale = 3, .classifier_scale = 1};
    trajectory.class_id = 5;
  }
  engine.Submit(guided);
  const std::vector<SeenTask> seen = engine.Step();
  EXPECT_EQ(seen.size(), 2u);  // FakeExecutor refuses more than its capacity.
  for (const SeenTask& task : seen) EXPECT_EQ(task.passes, 3);
}

TEST(EngineBatching, OneImageOfManyNetworkPassesIsNotSplitAmongIdleWorkers) {
  SteppedEngine::Options options;
  options.executor.capacity = 4;
  options.executor.micro_batch = 1;
  SteppedEngine engine(options);
  for (int i = 0; i < 3; ++i) engine.engine().AddWorker(engine.capacities());
  GenerationSpec guided = Images(1, 1, HalvingPlan(2));
  guided.trajectories[0].guidance = {.scale = 3, .classifier_scale = 1};
  guided.trajectories[0].class_id = 5;
  engine.Submit(guided);
  EXPECT_EQ(engine.StepAll(), 2);  // The other workers never come for any.
}

TEST(EngineBatching, GuidanceTakesTwoNetworkPassesOnlyWhereItActs) {
  SteppedEngine::Options options;
  options.executor.capacity = 4;
  SteppedEngine engine(options);
  GenerationSpec guided = Images(4, 1, HalvingPlan(4));
  for (TrajectorySpec& trajectory : guided.trajectories) {
    trajectory.guidance = {.scale = 3, .sigma_min = 2, .sigma_max = 3};
  }
  engine.Submit(guided);
  std::vector<size_t> rows;
  int passes = 0;
  for (std::vector<SeenTask> seen; !(seen = engine.Step()).empty();) {
    rows.push_back(seen.size());
    for (const SeenTask& task : seen) {
      EXPECT_EQ(task.passes, task.plan_row == 1 || task.plan_row == 2 ? 2 : 1);
      passes += task.passes;
    }
  }
  EXPECT_EQ(passes, 4 * (1 + 2 + 2 + 1));
  // All begin, then two at a time are guided; the last image ends alone.
  EXPECT_THAT(rows, ElementsAre(4, 2, 2, 3, 2, 2, 1));
}

TEST(EngineBatching, AnUnguidedRowFillsTheOneThatAGuidedRowCannot) {
  SteppedEngine::Options options;
  options.executor.capacity = 3;
  options.executor.micro_batch = 1;
  SteppedEngine engine(options);
  GenerationSpec guided = Images(2, 1, HalvingPlan(2));
  for (TrajectorySpec& trajectory : guided.trajectories) trajectory.guidance.scale = 2;
  engine.Submit(guided);
  engine.Submit(Images(1, 2, HalvingPlan(50)));
  EXPECT_THAT(Seeds(engine.Step()), UnorderedElementsAre(1, 2));
}

TEST(EngineBatching, AtMostTheResidentLimitHasBegun) {
  SteppedEngine::Options options;
  options.engine.max_resident_trajectories = 3;
  SteppedEngine engine(options);
  auto listener = engine.Submit(Images(8, 1, HalvingPlan(4)));
  int steps = 0;
  for (size_t rows; (rows = engine.Step().size()) > 0; ++steps) {
    EXPECT_LE(rows, 3u);
    EXPECT_LE(engine.executor().ledger().alive(), 3);
  }
  EXPECT_EQ(steps, 3 * 4);
  EXPECT_EQ(listener->images().size(), 8u);
}

TEST(EngineBatching, ModelsThatHaveWorkTakeTurns) {
  SteppedEngine::Options options;
  options.models = {"a", "b", "idle"};
  SteppedEngine engine(options);
  GenerationSpec a = Images(1, 1, HalvingPlan(3));
  a.model = "a";
  GenerationSpec b = Images(4, 2, HalvingPlan(3));
  b.model = "b";
  engine.Submit(a);
  engine.Submit(b);
  std::vector<uint64_t> seeds;
  for (std::vector<SeenTask> rows; !(rows = engine.Step()).empty();) {
    for (const SeenTask& task : rows) EXPECT_EQ(task.seed, rows[0].seed) << "two models in a batch";
    seeds.push_back(rows[0].seed);
  }
  EXPECT_THAT(seeds, ElementsAre(1, 2, 1, 2, 1, 2));
}

TEST(EngineBatching, AModelThatNoWorkerServesWaits) {
  SteppedEngine engine;
  GenerationSpec other = Images(1, 1, HalvingPlan(3));
  other.model = "other";
  engine.Submit(other);
  EXPECT_THAT(engine.Step(), IsEmpty());
}

// Workers beside each other: FakeExecutor's capacity is 8, in micro-batches of 4.

size_t Rows(const std::optional<StepBatch>& batch) {
  return batch.has_value() ? batch->tasks.size() : 0;
}

TEST(EngineWorkers, ShareWhatWaitsWhileAllAreIdle) {
  SteppedEngine engine;
  const WorkerId second = engine.engine().AddWorker(engine.capacities());
  engine.Submit(Images(8, 1, HalvingPlan(3)));
  for (int step = 0; step < 3; ++step) {
    std::optional<StepBatch> one = engine.Take();
    std::optional<StepBatch> other = engine.engine().TryNextBatch(second);
    ASSERT_EQ(Rows(one), 4u);
    ASSERT_EQ(Rows(other), 4u);
    engine.Finish(*std::move(one));
    engine.Finish(*std::move(other));
  }
  EXPECT_FALSE(engine.Take().has_value());
}

TEST(EngineWorkers, DoNotSplitAMicroBatch) {
  SteppedEngine engine;
  engine.engine().AddWorker(engine.capacities());
  engine.Submit(Images(3, 1, HalvingPlan(3)));
  EXPECT_EQ(engine.Step().size(), 3u);
}

TEST(EngineWorkers, LeaveNothingToOnesThatAreBusyOrGoneOrServeAnotherModel) {
  SteppedEngine engine;
  const WorkerId busy = engine.engine().AddWorker(engine.capacities());
  engine.engine().RemoveWorker(engine.engine().AddWorker(engine.capacities()));
  engine.engine().AddWorker({{"other", 8, 4}});
  engine.Submit(Images(1, 1, HalvingPlan(3)));
  std::optional<StepBatch> running = engine.engine().TryNextBatch(busy);
  ASSERT_EQ(Rows(running), 1u);
  engine.Submit(Images(8, 2, HalvingPlan(3)));
  EXPECT_EQ(engine.Step().size(), 8u);
  engine.Finish(*std::move(running));
}

TEST(EngineWorkers, GetNothingMoreOnceRemovedAndMayGiveBackWhatTheyHave) {
  SteppedEngine engine;
  const WorkerId leaving = engine.engine().AddWorker(engine.capacities());
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(2)));
  std::optional<StepBatch> running = engine.engine().TryNextBatch(leaving);
  engine.engine().RemoveWorker(leaving);
  engine.Finish(*std::move(running));
  EXPECT_FALSE(engine.engine().NextBatch(leaving).has_value());
  engine.StepAll();
  EXPECT_TRUE(listener->status().ok());
}

// The promise: an image depends on its spec, and on nothing that happens around it.
TEST(EngineBatching, EveryImageOfACrowdIsWhatItIsAlone) {
  std::mt19937 random(7);
  const auto draw = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  SteppedEngine engine;
  std::vector<std::pair<GenerationSpec, std::shared_ptr<RecordingListener>>> submitted;
  for (int i = 0; i < 60; ++i) {
    const int steps = draw(1, 30);
    auto plan = i % 3 == 0   ? HalvingPlan(steps)
                : i % 3 == 1 ? NoisyPlan(steps)
                             : TwoEvaluationPlan(steps);
    GenerationSpec spec = Images(draw(1, 5), random(), plan);
    spec.preview_every_steps = draw(0, 4);
    spec.preview_content = PreviewContent::kBoth;
    for (TrajectorySpec& trajectory : spec.trajectories) {
      if (i % 2 == 0) trajectory.class_id = draw(0, 9);
      if (i % 4 == 0) trajectory.guidance.scale = draw(2, 7);
    }
    submitted.emplace_back(spec, engine.Submit(spec));
    for (int steps_between = draw(0, 6); steps_between > 0; --steps_between) engine.Step();
  }
  engine.StepAll();

  for (const auto& [spec, listener] : submitted) {
    ASSERT_TRUE(listener->status().ok()) << listener->status();
    const std::map<int, Frame> images = listener->images();
    ASSERT_EQ(images.size(), spec.trajectories.size());
    for (const auto& [index, frame] : images) {
      const Frame alone = engine.executor().DrawAlone(spec.trajectories[index]);
      EXPECT_EQ(frame.values, alone.values);
    }
  }
}

}  // namespace
}  // namespace diffusiond
