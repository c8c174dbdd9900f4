// One thing fails; the others must not notice.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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

// Row faults: the network's output for one trajectory is not finite.

TEST(EngineRowFailure, EndsItsGenerationAloneWithTheExecutorsWords) {
  SteppedEngine::Options options;
  options.executor.task_fault = [](const StepTask& task) {
    if (task.spec->seed != 2 || task.spec->image_index != 1 || task.plan_row != 3) {
      return absl::OkStatus();
    }
    return absl::InternalError("NaN at timestep 2 of seed 2");
  };
  SteppedEngine engine(options);
  const GenerationSpec healthy = Images(2, 1, NoisyPlan(6));
  auto well = engine.Submit(healthy);
  auto ill = engine.Submit(Images(3, 2, NoisyPlan(6)));
  engine.StepAll();

  EXPECT_EQ(ill->status(), absl::InternalError("model model: NaN at timestep 2 of seed 2"));
  EXPECT_EQ(ill->finished_calls(), 1);
  EXPECT_THAT(ill->images(), IsEmpty());
  ASSERT_TRUE(well->status().ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(well->images().at(i).values,
              engine.executor().DrawAlone(healthy.trajectories[i]).values);
  }
}

TEST(EngineRowFailure, OnTheVeryFirstRowLeavesNothingBehind) {
  SteppedEngine::Options options;
  options.executor.task_fault = [](const StepTask&) { return absl::DataLossError("NaN"); };
  SteppedEngine engine(options);
  auto listener = engine.Submit(Images(4, 1, HalvingPlan(6)));
  EXPECT_EQ(engine.StepAll(), 1);
  EXPECT_THAT(listener->log(), ElementsAre("finished INTERNAL"));
}

TEST(EngineRowFailure, AMissingImageIsOneToo) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(1)));
  std::optional<StepBatch> batch = engine.Take();
  ASSERT_TRUE(engine.executor().Step(absl::MakeSpan(batch->tasks)).ok());
  batch->tasks[0].x_t.reset();
  engine.engine().Complete(*std::move(batch), absl::OkStatus());
  engine.AwaitTold();
  EXPECT_EQ(listener->status().code(), absl::StatusCode::kInternal);
}

// Device faults: no task of the batch advanced.

// Fails the steps whose numbers are listed, counted from 0.
std::function<absl::Status(absl::Span<const StepTask>)> FailSteps(std::vector<int> numbers) {
  return [numbers, step = 0](absl::Span<const StepTask>) mutable {
    const int number = step++;
    for (int n : numbers) {
      if (n == number) return absl::InternalError(absl::StrCat("device lost in step ", number));
    }
    return absl::OkStatus();
  };
}

TEST(EngineDeviceFailure, IsTriedAgainFromTheSameRegisters) {
  SteppedEngine::Options options;
  options.executor.step_fault = FailSteps({0, 3, 4});
  SteppedEngine engine(options);
  const GenerationSpec spec = Images(2, 1, NoisyPlan(5));
  auto listener = engine.Submit(spec);
  // What failed together goes on one by one, until it works.
  EXPECT_GT(engine.StepAll(), 5 + 3);
  ASSERT_TRUE(listener->status().ok()) << listener->status();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(listener->images().at(i).values,
              engine.executor().DrawAlone(spec.trajectories[i]).values);
  }
}

TEST(EngineDeviceFailure, ReportsNothingForAStepThatDidNotHappen) {
  SteppedEngine::Options options;
  options.executor.step_fault = FailSteps({1});
  SteppedEngine engine(options);
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(2)));
  engine.StepAll();
  EXPECT_THAT(listener->log(),
              ElementsAre("progress 0 1/2", "progress 0 2/2", "image 0", "finished OK"));
}

TEST(EngineDeviceFailure, ThreeInARowEndTheGeneration) {
  SteppedEngine::Options options;
  options.executor.step_fault = FailSteps({2, 3, 4});
  SteppedEngine engine(options);
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(9)));
  EXPECT_EQ(engine.StepAll(), 5);
  EXPECT_EQ(listener->status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(listener->status().message()),
              HasSubstr("3 times in a row: device lost in step 4"));
}

TEST(EngineDeviceFailure, ARowThatBreaksDevicesEndsNobodyButItself) {
  SteppedEngine::Options options;
  options.executor.step_fault = [](absl::Span<const StepTask> tasks) {
    for (const StepTask& task : tasks) {
      if (task.spec->seed == 13) return absl::InternalError("device lost");
    }
    return absl::OkStatus();
  };
  SteppedEngine engine(options);
  const GenerationSpec healthy = Images(5, 1, NoisyPlan(6));
  auto well = engine.Submit(healthy);
  auto ill = engine.Submit(Images(1, 13, NoisyPlan(6)));
  engine.StepAll();
  EXPECT_THAT(std::string(ill->status().message()), HasSubstr("model model, seed 13: a step"));
  ASSERT_TRUE(well->status().ok()) << well->status();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(well->images().at(i).values,
              engine.executor().DrawAlone(healthy.trajectories[i]).values);
  }
}

TEST(EngineDeviceFailure, OutOfMemoryLowersTheLimitOfResidents) {
  SteppedEngine::Options options;
  options.engine.max_resident_trajectories = 100;
  options.executor.step_fault = [step = 0](absl::Span<const StepTask>) mutable {
    return step++ == 2 ? absl::ResourceExhaustedError("out of memory") : absl::OkStatus();
  };
  SteppedEngine engine(options);
  auto listener = engine.Submit(Images(20, 1, HalvingPlan(5)));
  for (int i = 0; i < 3; ++i) engine.Step();  // The third, with 8 residents, fails.
  while (engine.executor().ledger().alive() > 0) engine.Step();
  EXPECT_EQ(listener->images().size(), 8u);
  EXPECT_EQ(engine.Step().size(), 4u) << "half of those that were too many";
  engine.StepAll();
  EXPECT_EQ(listener->images().size(), 20u);
}

// A worker that does not come back.

TEST(EngineAbandonedWorker, ItsRowsGoOnElsewhereFromWhereTheyWere) {
  SteppedEngine engine;
  const WorkerId hung = engine.engine().AddWorker(engine.capacities());
  const GenerationSpec spec = Images(2, 1, NoisyPlan(6));
  auto listener = engine.Submit(spec);
  engine.Finish(*engine.engine().TryNextBatch(hung));
  std::optional<StepBatch> lost = engine.engine().TryNextBatch(hung);
  EXPECT_FALSE(engine.Take().has_value());
  engine.engine().AbandonWorker(hung, absl::InternalError("hangs"));
  EXPECT_FALSE(engine.engine().NextBatch(hung).has_value());
  engine.Step();
  // It comes back, late, with results: they are not wanted any more.
  engine.Finish(*std::move(lost));
  engine.StepAll();
  ASSERT_TRUE(listener->status().ok()) << listener->status();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(listener->images().at(i).values,
              engine.executor().DrawAlone(spec.trajectories[i]).values);
  }
}

TEST(EngineAbandonedWorker, OfACancelledGenerationLeavesNothing) {
  SteppedEngine::Options options;
  options.engine.max_resident_trajectories = 2;
  SteppedEngine engine(options);
  engine.Submit(Images(2, 1, HalvingPlan(6)));
  const GenerationId leaver = engine.last_id();
  const WorkerId hung = engine.engine().AddWorker(engine.capacities());
  std::optional<StepBatch> lost = engine.engine().TryNextBatch(hung);
  engine.Cancel(leaver, absl::CancelledError("client left"));
  engine.engine().AbandonWorker(hung, absl::InternalError("hangs"));
  auto next = engine.Submit(Images(2, 2, HalvingPlan(3)));
  EXPECT_EQ(engine.StepAll(), 3) << "the places are free";
  EXPECT_TRUE(next->status().ok());
}

TEST(EngineDeviceFailure, OfACancelledGenerationDropsItsRows) {
  SteppedEngine::Options options;
  options.executor.step_fault = FailSteps({1});
  SteppedEngine engine(options);
  auto listener = engine.Submit(Images(2, 1, HalvingPlan(9)));
  engine.Step();
  std::optional<StepBatch> running = engine.Take();
  engine.Cancel(engine.last_id(), absl::CancelledError("client left"));
  engine.Finish(*std::move(running));
  EXPECT_EQ(engine.executor().ledger().alive(), 0);
  EXPECT_THAT(engine.Step(), IsEmpty());
}

}  // namespace
}  // namespace diffusiond
