// The engine's decisions without its lock, threads and clock: the ways in which a generation ends
// or loses its worker, and all changes in any order.
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/step_scheduler.h"
#include "tests/server/engine/step_scheduler_fixture.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class StepSchedulerCancellation : public StepSchedulerTest {};
class StepSchedulerDeadlines : public StepSchedulerTest {};
class StepSchedulerLostWorker : public StepSchedulerTest {};
class StepSchedulerModels : public StepSchedulerTest {};
class StepSchedulerChanges : public StepSchedulerTest {
 protected:
  struct WasTold {
    std::map<GenerationId, absl::Status> ends;
    std::set<std::pair<GenerationId, int>> images;
  };
  WasTold CheckOrder(const std::vector<EngineEvent>& events,
                     const std::map<GenerationId, GenerationSpec>& specs) {
    WasTold told;
    std::map<std::pair<GenerationId, int>, int> steps;
    for (const EngineEvent& event : events) {
      EXPECT_EQ(told.ends.count(event.generation), 0u) << "after the end: " << Describe(event);
      if (const auto* progress = std::get_if<EngineEvent::Progress>(&event.what)) {
        EXPECT_EQ(told.images.count(std::pair(event.generation, progress->image_index)), 0u);
        int& last = steps[{event.generation, progress->image_index}];
        EXPECT_EQ(progress->steps_done, ++last);
      } else if (const auto* image = std::get_if<EngineEvent::FinalImage>(&event.what)) {
        EXPECT_TRUE(told.images.emplace(event.generation, image->image_index).second);
        const TrajectorySpec& spec =
            specs.at(event.generation).trajectories[static_cast<size_t>(image->image_index)];
        EXPECT_EQ(image->frame.values, executor_.DrawAlone(spec).values);
      } else if (const auto* end = std::get_if<EngineEvent::Finished>(&event.what)) {
        told.ends[event.generation] = end->status;
      }
    }
    return told;
  }
};

TEST_F(StepSchedulerCancellation, OfWhatWaitsIsDoneAtOnce) {
  const GenerationId id = Admit(Images(3, 1, HalvingPlan(9)));
  End(id);
  EXPECT_THAT(Told(), ElementsAre("1 finished CANCELLED"));
  EXPECT_THAT(effects_.counts.release_delays, ElementsAre(0, 0, 0));
  EXPECT_EQ(scheduler_->depth().waiting, 0);
  EXPECT_FALSE(Take().has_value());
}

TEST_F(StepSchedulerCancellation, OfWhatRunsTakesEffectAsItComesBack) {
  Restart(Limits(64, 2));
  const GenerationId id = Admit(Images(2, 1, HalvingPlan(9)));
  Admit(Images(2, 2, HalvingPlan(90)));
  std::optional<StepBatch> batch = Take();
  ASSERT_THAT(SeedsOf(batch), ElementsAre(1, 1));
  const WorkerId other = AddWorker();
  End(id);
  EXPECT_THAT(Told(), ElementsAre("1 finished CANCELLED"));
  EXPECT_FALSE(Take(other).has_value()) << "the worker still has the registers";
  Finish(std::move(batch));
  EXPECT_THAT(Told(), IsEmpty()) << "nothing follows the end";
  EXPECT_THAT(effects_.counts.release_delays, ElementsAre(1, 1));
  effects_.dropped.clear();
  EXPECT_EQ(executor_.ledger().alive(), 0);
  EXPECT_THAT(SeedsOf(Take(other)), ElementsAre(2, 2));
}

TEST_F(StepSchedulerCancellation, OfWhatHasEndedOrNeverWasDoesNothing) {
  const GenerationId id = Admit(Images(1, 1, HalvingPlan(1)));
  RunAll();
  Told();
  End(id);
  End(12345);
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(StepSchedulerCancellation, OfAllEndsEachOnce) {
  for (uint64_t seed = 1; seed <= 3; ++seed) Admit(Images(1, seed, HalvingPlan(9)));
  scheduler_->EndAll(absl::UnavailableError("stopped"), now_, effects_);
  EXPECT_THAT(Told(), UnorderedElementsAre("1 finished UNAVAILABLE", "2 finished UNAVAILABLE",
                                           "3 finished UNAVAILABLE"));
}

TEST_F(StepSchedulerDeadlines, EndWhatIsPastThemAndNothingElse) {
  GenerationSpec spec = Images(2, 1, HalvingPlan(9));
  spec.trajectories[0].plan = HalvingPlan(1);
  spec.deadline = now_ + absl::Seconds(10);
  Admit(spec);
  spec.deadline += absl::Seconds(1);
  Admit(spec);
  Finish(Take());
  Told();
  EXPECT_EQ(scheduler_->NextWake(), kBegin + absl::Seconds(10));
  now_ = kBegin + absl::Seconds(10) - absl::Nanoseconds(1);
  scheduler_->ExpireDue(now_, effects_);
  EXPECT_THAT(Told(), IsEmpty());
  now_ += absl::Nanoseconds(1);
  scheduler_->ExpireDue(now_, effects_);
  EXPECT_THAT(std::string(LastEnd().message()), HasSubstr("1 of 2 images drawn"));
  EXPECT_THAT(Told(), ElementsAre("1 finished DEADLINE_EXCEEDED"));
  EXPECT_EQ(scheduler_->NextWake(), kBegin + absl::Seconds(11));
}

TEST_F(StepSchedulerDeadlines, PassedWhileARowRunsEndItAsItComesBack) {
  GenerationSpec spec = Images(1, 1, HalvingPlan(2));
  spec.deadline = now_ + absl::Seconds(1);
  Admit(spec);
  std::optional<StepBatch> batch = Take();
  now_ = spec.deadline;
  Finish(std::move(batch));
  EXPECT_THAT(Told(), ElementsAre("1 finished DEADLINE_EXCEEDED"));
}

TEST_F(StepSchedulerLostWorker, ItsRowsGoOnElsewhereFromWhereTheyWere) {
  Admit(Images(2, 1, NoisyPlan(3)));
  Finish(Take());
  std::optional<StepBatch> lost = Take();
  const WorkerId other = AddWorker();
  EXPECT_FALSE(Take(other).has_value());
  Told();
  scheduler_->AbandonWorker(worker_, absl::InternalError("hangs"), now_, effects_);
  EXPECT_FALSE(scheduler_->HasWorker(worker_));
  // One by one: it may be one of them that breaks devices.
  std::set<const TrajectoryRegisters*> before;
  for (int i = 0; i < 2; ++i) {
    std::optional<StepBatch> one = Take(other);
    ASSERT_EQ(one->tasks.size(), 1u);
    EXPECT_EQ(one->tasks[0].plan_row, 1);
    before.insert(one->tasks[0].before.get());
    Finish(std::move(one));
  }
  EXPECT_THAT(before,
              UnorderedElementsAre(lost->tasks[0].before.get(), lost->tasks[1].before.get()));
  EXPECT_THAT(Told(), UnorderedElementsAre("1 progress 0 2/3", "1 progress 1 2/3"));

  EXPECT_FALSE(Finish(std::move(lost))) << "what it brings, late, is not wanted any more";
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(StepSchedulerLostWorker, OfAnEndedGenerationIsGivenUpOnce) {
  const GenerationId id = Admit(Images(2, 1, HalvingPlan(3)));
  std::optional<StepBatch> lost = Take();
  End(id);
  Told();
  scheduler_->AbandonWorker(worker_, absl::InternalError("hangs"), now_, effects_);
  EXPECT_THAT(effects_.counts.release_delays, ElementsAre(1, 1));
  EXPECT_EQ(scheduler_->depth().resident, 0);
  EXPECT_FALSE(Finish(std::move(lost)));
  EXPECT_EQ(scheduler_->depth().resident, 0);
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(StepSchedulerLostWorker, ThreeWorkersInARowEndTheGeneration) {
  Admit(Images(1, 1, HalvingPlan(3)));
  for (int i = 0; i < 3; ++i) {
    const WorkerId hangs = AddWorker();
    ASSERT_TRUE(Take(hangs).has_value());
    scheduler_->AbandonWorker(hangs, absl::InternalError("hangs"), now_, effects_);
  }
  EXPECT_THAT(std::string(LastEnd().message()), HasSubstr("3 times in a row: hangs"));
}

TEST_F(StepSchedulerLostWorker, OneThatIsRemovedMayStillGiveBackWhatItHas) {
  Admit(Images(1, 1, HalvingPlan(2)));
  std::optional<StepBatch> batch = Take();
  scheduler_->RemoveWorker(worker_);
  EXPECT_TRUE(Finish(std::move(batch)));
  EXPECT_THAT(Told(), ElementsAre("1 progress 0 1/2"));
  EXPECT_EQ(Take(AddWorker())->tasks[0].plan_row, 1);
}

TEST_F(StepSchedulerModels, OneThatIsRemovedEndsWhatIsLeftOfItAlone) {
  scheduler_->AddModel(worker_, {"new", kCapacity, kMicroBatch});
  GenerationSpec of_new = Images(1, 1, HalvingPlan(2));
  of_new.model = "new";
  Admit(of_new);
  std::optional<StepBatch> batch = Take();
  Admit(of_new);
  Admit(Images(1, 2, HalvingPlan(1)));
  scheduler_->RemoveModel("new", now_, effects_);
  EXPECT_THAT(Told(), UnorderedElementsAre("1 finished UNAVAILABLE", "2 finished UNAVAILABLE"));
  Finish(std::move(batch));
  RunAll();
  EXPECT_THAT(Told(), ElementsAre("3 progress 0 1/1", "3 image 0", "3 finished OK"));
}

// Changes in any order. What must hold of what is told: progress rises by one, an image is its
// last event and what its spec gives alone, an end comes once and last.
TEST_F(StepSchedulerChanges, WhateverHappensEachGenerationIsToldInOrderAndEndsOnce) {
  Restart(Limits(40, 10));
  std::mt19937 random(11);
  const auto draw = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  std::vector<WorkerId> workers = {worker_, AddWorker(), AddWorker()};
  std::map<WorkerId, StepBatch> in_hand;
  std::vector<StepBatch> lost;
  std::map<GenerationId, GenerationSpec> specs;
  for (int change = 0; change < 6000; ++change) {
    now_ += absl::Milliseconds(draw(0, 5));
    WorkerId& worker = workers[static_cast<size_t>(draw(0, 2))];
    const int kind = draw(0, 19);
    if (kind < 3) {
      GenerationSpec spec = Images(draw(1, 4), random(), NoisyPlan(draw(1, 9)));
      if (draw(0, 3) == 0) spec.deadline = now_ + absl::Milliseconds(draw(1, 200));
      const absl::StatusOr<GenerationId> id = scheduler_->Admit(spec, now_);
      if (id.ok()) specs[*id] = std::move(spec);
    } else if (kind == 3 && !specs.empty()) {
      End(std::next(specs.begin(), draw(0, static_cast<int>(specs.size()) - 1))->first);
    } else if (kind == 4 && in_hand.count(worker) > 0 && draw(0, 4) == 0) {
      lost.push_back(std::move(in_hand.extract(worker).mapped()));
      scheduler_->AbandonWorker(worker, absl::InternalError("hangs"), now_, effects_);
      worker = AddWorker();
    } else if (kind == 5 && !lost.empty()) {
      EXPECT_FALSE(Finish(std::move(lost.back())));
      lost.pop_back();
    } else if (in_hand.count(worker) == 0) {
      scheduler_->ExpireDue(now_, effects_);
      std::optional<StepBatch> batch = Take(worker);
      if (batch.has_value()) in_hand.emplace(worker, *std::move(batch));
    } else {
      StepBatch batch = std::move(in_hand.extract(worker).mapped());
      if (draw(0, 30) == 0) {
        Settle(std::move(batch), absl::InternalError("device lost"));
      } else {
        Finish(std::move(batch));
      }
    }
  }
  for (auto& [worker, batch] : in_hand) Finish(std::move(batch));
  in_hand.clear();
  scheduler_->EndAll(absl::CancelledError("over"), now_, effects_);
  lost.clear();

  const WasTold told = CheckOrder(effects_.events, specs);
  std::map<absl::StatusCode, int> codes;
  for (const auto& [id, spec] : specs) {
    ASSERT_EQ(told.ends.count(id), 1u);
    const absl::Status& end = told.ends.at(id);
    ++codes[end.code()];
    for (int i = 0; end.ok() && i < static_cast<int>(spec.trajectories.size()); ++i) {
      EXPECT_EQ(told.images.count(std::pair(id, i)), 1u);
    }
  }
  effects_.dropped.clear();
  EXPECT_EQ(executor_.ledger().alive(), 0);
  // The mix reached what it was made to reach.
  EXPECT_GT(codes[absl::StatusCode::kOk], 20);
  EXPECT_GT(codes[absl::StatusCode::kCancelled], 20);
  EXPECT_GT(codes[absl::StatusCode::kDeadlineExceeded], 5);
}

}  // namespace
}  // namespace diffusiond
