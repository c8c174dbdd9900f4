// The engine's decisions without its lock, threads and clock: who comes in, what shares a batch,
// and what becomes of rows that come back.
#include "server/engine/step_scheduler.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/refusal.h"
#include "tests/server/engine/step_scheduler_fixture.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class StepSchedulerAdmission : public StepSchedulerTest {
 protected:
  StepSchedulerAdmission() { Restart(Limits(4, 4)); }
};
class StepSchedulerChoice : public StepSchedulerTest {};
class StepSchedulerSettlement : public StepSchedulerTest {};

TEST_F(StepSchedulerAdmission, ARefusalLeavesNothingBehind) {
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(Images(0, 1, HalvingPlan(1)))));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(Images(5, 1, HalvingPlan(1)))));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(Images(1, 1, HalvingPlan(0)))));
  GenerationSpec late = Images(1, 1, HalvingPlan(1));
  late.deadline = now_;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Refused(late)));
  EXPECT_EQ(scheduler_->depth().waiting, 0);
  EXPECT_FALSE(Take().has_value());
  EXPECT_EQ(scheduler_->NextWake(), absl::InfiniteFuture());
  EXPECT_EQ(Admit(Images(4, 1, HalvingPlan(1))), 1u) << "no refusal takes a number or a place";
}

TEST_F(StepSchedulerAdmission, PlacesAreThoseOfImagesAndNotOfRequests) {
  const GenerationId id = Admit(Images(3, 1, HalvingPlan(1)));
  GenerationSpec longer = Images(2, 2, HalvingPlan(1));
  EXPECT_EQ(RefusalReasonOf(Refused(longer)), RefusalReason::kQueueFull);
  std::optional<StepBatch> batch = Take();
  executor_.Step(absl::MakeSpan(batch->tasks)).IgnoreError();
  EXPECT_EQ(RefusalReasonOf(Refused(longer)), RefusalReason::kQueueFull) << "they are being drawn";
  Settle(std::move(batch));
  EXPECT_THAT(Told().back(), absl::StrCat(id, " finished OK"));
  Admit(Images(4, 2, HalvingPlan(1)));
}

TEST_F(StepSchedulerAdmission, AnImageThatIsDrawnGivesItsPlaceBackBeforeItsRequestEnds) {
  GenerationSpec uneven = Images(4, 1, HalvingPlan(9));
  uneven.trajectories[0].plan = HalvingPlan(1);
  Admit(uneven);
  Finish(Take());
  Admit(Images(1, 2, HalvingPlan(1)));
}

TEST_F(StepSchedulerAdmission, AnEndGivesAllPlacesBack) {
  const GenerationId id = Admit(Images(4, 1, HalvingPlan(9)));
  std::optional<StepBatch> batch = Take();
  End(id);
  Admit(Images(4, 2, HalvingPlan(9)));
  Finish(std::move(batch));
  EXPECT_TRUE(absl::IsResourceExhausted(Refused(Images(1, 3, HalvingPlan(1)))))
      << "the same place twice";
}

TEST_F(StepSchedulerAdmission, ADeadlineIsComparedWithWhatWasMeasured) {
  GenerationSpec hurried = Images(1, 1, HalvingPlan(10));
  hurried.deadline = now_ + absl::Milliseconds(500);
  End(Admit(hurried));  // Nothing was measured yet.
  Admit(Images(1, 2, HalvingPlan(1)));
  std::optional<StepBatch> batch = Take();
  now_ += absl::Milliseconds(100);
  Finish(std::move(batch));
  hurried.deadline = now_ + absl::Seconds(1);
  const absl::Status infeasible = Refused(hurried);
  EXPECT_EQ(infeasible.code(), absl::StatusCode::kDeadlineExceeded) << "no time to ask again at";
  EXPECT_THAT(std::string(infeasible.message()),
              HasSubstr("which an idle server cannot meet: it takes about 1s"));
  EXPECT_FALSE(RetryAfter(infeasible).has_value());
  hurried.deadline = now_ + absl::Milliseconds(1001);
  Admit(hurried);
  const absl::Status behind = Refused(hurried);
  EXPECT_EQ(RefusalReasonOf(behind), RefusalReason::kDeadline) << behind;
  EXPECT_EQ(RetryAfter(behind), absl::Milliseconds(49)) << "half a step, which has begun";
}

TEST_F(StepSchedulerAdmission, OneSlowStepRefusesNobodyForGood) {
  const auto step_of = [&](absl::Duration duration) {
    Admit(Images(1, 1, HalvingPlan(1)));
    std::optional<StepBatch> batch = Take();
    now_ += duration;
    Finish(std::move(batch));
  };
  const auto asked = [&](absl::Duration within) {
    GenerationSpec hurried = Images(1, 2, HalvingPlan(10));
    hurried.deadline = now_ + within;
    return hurried;
  };
  step_of(absl::Milliseconds(10));
  step_of(absl::Minutes(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(Refused(asked(absl::Seconds(1)))));
  now_ += absl::Seconds(11);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Refused(asked(absl::Milliseconds(99)))))
      << "ten of the fastest that were seen take longer";
  GenerationSpec many = Images(4, 2, HalvingPlan(10));
  many.deadline = now_ + absl::Milliseconds(99);
  EXPECT_EQ(Refused(many).code(), absl::StatusCode::kDeadlineExceeded) << "and so do more";
  const GenerationId tried = Admit(asked(absl::Seconds(1)));
  EXPECT_FALSE(Refused(asked(absl::Seconds(1))).ok()) << "one is tried";
  End(tried);
}

// A step costs 10 ms for each pass here, and 20 ms.
TEST_F(StepSchedulerAdmission, AStepIsForeseenToTakeWhatStepsOfThatLoadTook) {
  Restart(Limits(64, 64));
  const auto draw = [&](int images) {
    Admit(Images(images, 1, HalvingPlan(1)));
    std::optional<StepBatch> batch = Take();
    now_ += absl::Milliseconds(20 + 10 * images);
    Finish(std::move(batch));
  };
  draw(1);
  for (int i = 0; i < 5; ++i) draw(8);
  const auto asked = [&](int images, absl::Duration within) {
    GenerationSpec hurried = Images(images, 2, HalvingPlan(10));
    hurried.deadline = now_ + within;
    return hurried;
  };
  EXPECT_FALSE(Refused(asked(1, absl::Milliseconds(300))).ok());
  EXPECT_FALSE(Refused(asked(8, absl::Seconds(1))).ok());
  const GenerationId first = Admit(asked(1, absl::Milliseconds(320)));
  EXPECT_FALSE(Refused(asked(1, absl::Milliseconds(900))).ok())
      << "two at once were never seen: the first would be late if they take as long as eight";
  End(first);
  Admit(asked(1, absl::Seconds(2)));
  Admit(asked(1, absl::Seconds(2)));
  End(Admit(asked(8, absl::Minutes(1))));
}

TEST_F(StepSchedulerAdmission, AnIdleServerTriesLoadsThatItHasNotSeen) {
  Restart(Limits(64, 64));
  Admit(Images(8, 1, HalvingPlan(1)));
  std::optional<StepBatch> batch = Take();
  now_ += absl::Milliseconds(80);
  Finish(std::move(batch));
  GenerationSpec hurried = Images(1, 2, HalvingPlan(10));
  hurried.deadline = now_ + absl::Milliseconds(100);
  EXPECT_FALSE(Refused(hurried).ok()) << "an eighth of what eight took is the least";
  hurried.deadline = now_ + absl::Milliseconds(101);
  Admit(hurried);
}

TEST(PaceMeter, ABatchTakesNoLongerThanThoseThatCarryMore) {
  PaceMeter meter;
  meter.Add(kBegin, absl::Seconds(60), 1, 8);
  meter.Add(kBegin, absl::Seconds(2), 4, 8);
  const Pace pace = meter.pace(8);
  EXPECT_EQ(pace.StepOf(1), absl::Seconds(2));
  EXPECT_EQ(pace.StepOf(3), absl::Seconds(2));
  EXPECT_EQ(meter.pace(16).StepOf(8), absl::Seconds(2)) << "four for each of two workers";
  EXPECT_TRUE(meter.HasSeen(1, 8));
  EXPECT_FALSE(meter.HasSeen(2, 8));
  EXPECT_TRUE(meter.HasSeen(2, 16));
  EXPECT_EQ(meter.best(8).StepOf(2), absl::Seconds(60)) << "those of one took no less";
}

TEST(PaceMeter, ABatchThatIsHardlyFullBoundsFullOnes) {
  PaceMeter meter;
  meter.Add(kBegin, absl::Seconds(60), 8, 8);
  meter.Add(kBegin, absl::Seconds(1), 1, 8);
  EXPECT_EQ(meter.pace(8).pass, absl::Seconds(1));
}

TEST_F(StepSchedulerAdmission, APaceThatWasMeasuredIsNotInherited) {
  AddWorker("other");
  const auto step_of = [&](const std::string& model, absl::Duration duration) {
    GenerationSpec spec = Images(1, 1, HalvingPlan(1));
    spec.model = model;
    Admit(spec);
    for (const WorkerId worker : {worker_, worker_ + 1}) {
      std::optional<StepBatch> batch = Take(worker);
      if (!batch.has_value()) continue;
      now_ += duration;
      Finish(std::move(batch));
    }
  };
  step_of("model", absl::Milliseconds(10));
  step_of("other", absl::Minutes(1));
  scheduler_->InheritPace("model", "other");
  GenerationSpec hurried = Images(1, 2, HalvingPlan(10));
  hurried.deadline = now_ + absl::Seconds(1);
  Admit(hurried);
}

TEST_F(StepSchedulerChoice, ARowIsInOneBatchAtATime) {
  Admit(Images(3, 1, HalvingPlan(2)));
  const WorkerId other = AddWorker();
  std::optional<StepBatch> batch = Take();
  EXPECT_THAT(SeedsOf(batch), ElementsAre(1, 1, 1));
  EXPECT_FALSE(Take(other).has_value());
  Finish(std::move(batch));
  batch = Take(other);
  EXPECT_EQ(batch->tasks.size(), 3u);
  EXPECT_EQ(batch->tasks[0].plan_row, 1);
}

TEST_F(StepSchedulerChoice, IdleWorkersShareInWholeMicroBatches) {
  const WorkerId other = AddWorker();
  Admit(Images(6, 1, HalvingPlan(2)));
  const std::optional<StepBatch> one = Take(), two = Take(other);
  EXPECT_EQ(one->tasks.size(), 4u);
  EXPECT_EQ(two->tasks.size(), 2u);
}

TEST_F(StepSchedulerChoice, AtMostTheLimitIsResident) {
  Restart(Limits(64, 3));
  Admit(Images(8, 1, HalvingPlan(2)));
  std::optional<StepBatch> batch = Take();
  EXPECT_EQ(batch->tasks.size(), 3u);
  EXPECT_EQ(scheduler_->depth().waiting, 5);
  EXPECT_EQ(scheduler_->depth().resident, 3);
  Finish(std::move(batch));
  batch = Take();
  ASSERT_EQ(batch->tasks.size(), 3u);
  EXPECT_EQ(batch->tasks[0].plan_row, 1) << "those that have begun";
}

TEST_F(StepSchedulerChoice, NothingForAWorkerThatIsGoneOrCannotRunIt) {
  Admit(Images(1, 1, HalvingPlan(2)));
  EXPECT_FALSE(Take(AddWorker("other")).has_value());
  EXPECT_FALSE(Take(12345).has_value());
  scheduler_->RemoveWorker(worker_);
  EXPECT_FALSE(Take().has_value());
  EXPECT_TRUE(effects_.empty());
}

TEST_F(StepSchedulerSettlement, TellsOfEachRowInOrder) {
  GenerationSpec spec = Images(1, 1, HalvingPlan(2));
  spec.preview_every_steps = 1;
  spec.preview_content = PreviewContent::kBoth;
  Admit(spec);
  Finish(Take());
  EXPECT_THAT(Told(), ElementsAre("1 progress 0 1/2", "1 preview 0 1 x_t", "1 preview 0 1 x0_hat"));
  Finish(Take());
  EXPECT_THAT(Told(), ElementsAre("1 progress 0 2/2", "1 image 0", "1 finished OK"));
}

TEST_F(StepSchedulerSettlement, DestroysNoRegistersItself) {
  Admit(Images(2, 1, HalvingPlan(2)));
  Finish(Take());
  effects_.dropped.clear();
  EXPECT_EQ(executor_.ledger().alive(), 2);
  Finish(Take());
  EXPECT_EQ(executor_.ledger().alive(), 4) << "before and after";
  effects_.dropped.clear();
  EXPECT_EQ(executor_.ledger().alive(), 0);
}

TEST_F(StepSchedulerSettlement, ARowThatFailedEndsItsGenerationAlone) {
  Admit(Images(2, 1, HalvingPlan(2)));
  Admit(Images(1, 2, HalvingPlan(2)));
  std::optional<StepBatch> batch = Take();
  executor_.Step(absl::MakeSpan(batch->tasks)).IgnoreError();
  batch->tasks[0].status = absl::DataLossError("NaN");
  Settle(std::move(batch));
  EXPECT_THAT(Told(), UnorderedElementsAre("1 finished INTERNAL", "2 progress 0 1/2"));
  EXPECT_THAT(SeedsOf(Take()), ElementsAre(2));
}

TEST_F(StepSchedulerSettlement, ALastRowWithoutAnImageIsAFailure) {
  Admit(Images(1, 1, HalvingPlan(1)));
  std::optional<StepBatch> batch = Take();
  executor_.Step(absl::MakeSpan(batch->tasks)).IgnoreError();
  batch->tasks[0].x_t.reset();
  Settle(std::move(batch));
  EXPECT_THAT(std::string(LastEnd().message()), HasSubstr("no image for a plan's last row"));
}

TEST_F(StepSchedulerSettlement, WhatADeviceFailedIsTriedAgainOneByOneAndGivenUpAfterThreeTimes) {
  Admit(Images(2, 1, HalvingPlan(3)));
  Admit(Images(1, 2, HalvingPlan(3)));
  const absl::Status lost = absl::InternalError("device lost");
  Settle(Take(), lost);
  EXPECT_THAT(Told(), IsEmpty());
  std::map<std::pair<uint64_t, uint32_t>, int> tried;
  for (int i = 0; i < 4; ++i) {
    std::optional<StepBatch> one = Take();
    ASSERT_EQ(one->tasks.size(), 1u);
    EXPECT_EQ(one->tasks[0].plan_row, 0);
    const TrajectorySpec& spec = *one->tasks[0].spec;
    ++tried[{spec.seed, spec.image_index}];
    if (spec.seed == 1 && spec.image_index == 0) {
      Settle(std::move(one), lost);
    } else {
      Finish(std::move(one));
    }
  }
  EXPECT_EQ(tried[std::pair(1, 0)], 2);
  EXPECT_EQ(LastEnd(), absl::InternalError("model model, seed 1: a step failed 3 times in a row: "
                                           "device lost"));
  EXPECT_THAT(Told(),
              UnorderedElementsAre("1 progress 1 1/3", "2 progress 0 1/3", "1 finished INTERNAL"));
  EXPECT_THAT(SeedsOf(Take()), ElementsAre(2)) << "the row beside it has ended with it";
}

TEST_F(StepSchedulerSettlement, AStepThatWorkedForgivesTheFailuresBefore) {
  Admit(Images(1, 1, HalvingPlan(3)));
  for (int row = 0; row < 3; ++row) {
    Settle(Take(), absl::InternalError("device lost"));
    Settle(Take(), absl::InternalError("device lost"));
    Finish(Take());
  }
  EXPECT_EQ(Told().back(), "1 finished OK");
}

TEST_F(StepSchedulerSettlement, OutOfMemoryHalvesTheResidentsOfTheModel) {
  Admit(Images(20, 1, HalvingPlan(2)));
  Settle(Take(), absl::ResourceExhaustedError("out of memory"));
  EXPECT_EQ(scheduler_->depth().resident_limit, 4);
}

TEST_F(StepSchedulerSettlement, OutOfMemoryLeavesWhatOneNetworkCallCarries) {
  Admit(Images(1, 1, HalvingPlan(2)));
  Settle(Take(), absl::ResourceExhaustedError("out of memory"));
  EXPECT_EQ(scheduler_->depth().resident_limit, kMicroBatch);
}

TEST_F(StepSchedulerSettlement, GoodBatchesRaiseTheResidentsOfTheModelAgain) {
  Admit(Images(40, 1, HalvingPlan(2)));
  for (int i = 0; i < 4; ++i) Finish(Take());
  Settle(Take(), absl::ResourceExhaustedError("out of memory"));
  int lowest = scheduler_->depth().resident_limit;
  EXPECT_LE(lowest, 16);
  RunAll();
  EXPECT_EQ(scheduler_->depth().resident_limit, lowest);
  int raised = 0;
  for (int limit = lowest; limit < 64; ++raised) {
    Admit(Images(1, 2, HalvingPlan(256)));
    EXPECT_EQ(RunAll(), 256);
    EXPECT_GT(scheduler_->depth().resident_limit, limit);
    limit = scheduler_->depth().resident_limit;
  }
  EXPECT_GT(raised, 8) << "little by little";
  EXPECT_EQ(scheduler_->depth().resident_limit, 64);
}

// What a worker gave back does not wait while it is idle.
TEST_F(StepSchedulerSettlement, NothingIsPassedOverBesideAnIdleWorker) {
  const WorkerId other = AddWorker();
  Admit(Images(2 * kMicroBatch, 1, HalvingPlan(9)));
  std::optional<StepBatch> batch = Take(), beside = Take(other);
  for (int row = 1; row < 9; ++row) {
    Finish(std::move(batch));
    batch = Take();
    Finish(std::move(beside));
    beside = Take(other);
  }
  EXPECT_EQ(effects_.counts.preemptions, 0);
}

TEST_F(StepSchedulerSettlement, CountsWaitsPreemptionsMigrationsAndEnds) {
  Admit(Images(8, 1, HalvingPlan(9)));
  now_ += absl::Seconds(2);
  Finish(Take());
  ASSERT_EQ(effects_.counts.first_steps.size(), 1u);
  EXPECT_EQ(effects_.counts.first_steps[0].queue_wait, absl::Seconds(2));
  GenerationSpec urgent = Images(3, 2, HalvingPlan(1));
  urgent.priority = Priority::kHigh;
  Admit(urgent);
  Finish(Take());
  ASSERT_EQ(effects_.counts.finished.size(), 1u);
  EXPECT_TRUE(effects_.counts.finished[0].status.ok());
  EXPECT_EQ(effects_.counts.preemptions, 0) << "counted when they go on";
  const WorkerId other = AddWorker();
  scheduler_->RemoveWorker(worker_);
  EXPECT_EQ(Take(other)->tasks.size(), 8u);
  EXPECT_EQ(effects_.counts.preemptions, 3);
  EXPECT_EQ(effects_.counts.migrations, 8);
}

}  // namespace
}  // namespace diffusiond
