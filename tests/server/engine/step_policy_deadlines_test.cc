// Which deadlines are kept, and which are known to fit. A step takes a second here, and a worker
// evaluates two passes of it together.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/step_policy.h"
#include "tests/server/engine/policy_trajectories.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using Choice = PolicyChoice;

class StepPolicyDeadlines : public ::testing::Test {
 protected:
  StepPolicyDeadlines() {
    policy_.SetPace(Pace::Even(absl::Seconds(1), absl::Milliseconds(500), 2));
  }

  void Admit(uint64_t id, int rows_left, absl::Duration deadline, const std::string& tenant = "") {
    PolicyGeneration generation = Of(id, tenant);
    generation.deadline = kStart + deadline;
    policy_.Admit(generation, Trajectories(1, rows_left));
  }

  StepPolicy policy_;
};

TEST_F(StepPolicyDeadlines, TheEarliestGoesFirstOnceOneCannotWait) {
  Admit(1, 5, absl::InfiniteDuration());
  Admit(2, 20, absl::Seconds(100));
  Admit(3, 10, absl::Seconds(90));
  // All need 37.5 seconds one after the other, margin included: there is time.
  ASSERT_THAT(policy_.Choose(Room(1)), ElementsAre(Choice{1, 0}));
  policy_.PutBack(1, {.image_index = 0, .rows_left = 4, .resident = true});
  EXPECT_THAT(policy_.Choose(Room(3, kUnlimited, kStart + absl::Seconds(60))),
              ElementsAre(Choice{3, 0}, Choice{2, 0}, Choice{1, 0}))
      << "2 has least slack";
}

TEST_F(StepPolicyDeadlines, TheEarliestGoesFirstAtOnceWhereTheyCompete) {
  for (uint64_t id = 1; id <= 4; ++id) Admit(id, 20, absl::Seconds(60 - static_cast<int>(id)));
  Admit(9, 5, absl::InfiniteDuration());
  // 80 rows in shares of half a second: 40 seconds and the margin, of 59.
  EXPECT_THAT(policy_.Choose(Room(2)), ElementsAre(Choice{4, 0}, Choice{3, 0}));
}

TEST_F(StepPolicyDeadlines, WhatCannotBeInTimeYieldsToAllElse) {
  Admit(1, 20, absl::Seconds(17));
  Admit(2, 10, absl::Seconds(30));
  policy_.Admit(Of(3, "", Priority::kLow), Trajectories(1, 50));
  EXPECT_THAT(policy_.Choose(Room(3)), ElementsAre(Choice{2, 0}, Choice{3, 0}, Choice{1, 0}));
}

TEST_F(StepPolicyDeadlines, WhatIsHardToBringInOnTimeIsTried) {
  Admit(1, 20, absl::Seconds(19));
  Admit(2, 10, absl::Seconds(30));
  EXPECT_THAT(policy_.Choose(Room(2)), ElementsAre(Choice{1, 0}, Choice{2, 0}));
}

TEST_F(StepPolicyDeadlines, WhatCanBeInTimeAgainComesBack) {
  policy_.SetPace(Pace::Even(absl::Seconds(2), absl::Seconds(1), 2));
  Admit(1, 20, absl::Seconds(30));
  policy_.Admit(Of(2), Trajectories(1, 10));
  ASSERT_THAT(policy_.Choose(Room(1)), ElementsAre(Choice{2, 0})) << "20 steps of 2 s are 40 s";
  policy_.PutBack(2, {.image_index = 0, .rows_left = 9, .resident = true});
  policy_.SetPace(Pace::Even(absl::Milliseconds(1550), absl::Milliseconds(775), 2));
  ASSERT_THAT(policy_.Choose(Room(1)), ElementsAre(Choice{2, 0}))
      << "what would not have been demoted does not come back for as little";
  policy_.PutBack(2, {.image_index = 0, .rows_left = 8, .resident = true});
  policy_.SetPace(Pace::Even(absl::Seconds(1), absl::Milliseconds(500), 2));
  EXPECT_THAT(policy_.Choose(Room(1, kUnlimited, kStart + absl::Seconds(8))),
              ElementsAre(Choice{1, 0}))
      << "20 s of 22, and the other has no deadline";
}

TEST_F(StepPolicyDeadlines, EachBatchLooksAtOthersOfThoseThatWereLate) {
  for (uint64_t id = 1; id <= 10; ++id) Admit(id, 50, absl::Seconds(1));
  Admit(11, 20, absl::Seconds(10));
  policy_.Admit(Of(12), Trajectories(1, 1000));
  int batches = 0;
  for (uint64_t chosen = 12; chosen == 12 && batches < 20; ++batches) {
    if (batches > 0) policy_.SetPace(Pace::Even(absl::Milliseconds(100), absl::ZeroDuration(), 2));
    chosen = policy_.Choose(Room(1)).at(0).generation;
    EXPECT_TRUE(chosen == 12 || chosen == 11);
    if (chosen == 12) {
      policy_.PutBack(12, {.image_index = 0, .rows_left = 999, .resident = true});
    }
  }
  EXPECT_EQ(batches, 4) << "the first, and three that look at eleven, four each";
}

class StepPolicyFit : public StepPolicyDeadlines {
 protected:
  bool Fits(int count, int rows_left, absl::Duration deadline, int passes = 1) {
    PolicyGeneration generation = Of(99);
    generation.deadline = kStart + deadline;
    return policy_.DeadlinesFit(generation, Trajectories(count, rows_left, passes), kStart);
  }
};

TEST_F(StepPolicyFit, CountsWhatIsDrawnSideBySide) {
  // With the margin of a quarter a step takes 1.25 s, and carries two rows.
  EXPECT_TRUE(Fits(1, 8, absl::Seconds(10)));
  EXPECT_FALSE(Fits(1, 9, absl::Seconds(10))) << "one image's steps follow each other";
  EXPECT_TRUE(Fits(2, 8, absl::Seconds(10)));
  EXPECT_FALSE(Fits(3, 8, absl::Seconds(10)));
  EXPECT_TRUE(Fits(4, 4, absl::Seconds(10)));
  EXPECT_TRUE(Fits(1, 8, absl::Seconds(10), 2));
  EXPECT_FALSE(Fits(2, 8, absl::Seconds(10), 2)) << "a guided one takes both places";
}

TEST_F(StepPolicyFit, KeepsTheTimeOfWhatWasAdmitted) {
  Admit(1, 8, absl::Seconds(20));
  Admit(2, 8, absl::Seconds(20));
  EXPECT_TRUE(Fits(2, 8, absl::Seconds(10))) << "goes before the others, which keep their time";
  EXPECT_FALSE(Fits(2, 9, absl::Seconds(12))) << "would make the others late";
  EXPECT_TRUE(Fits(2, 8, absl::Seconds(20)));
  EXPECT_FALSE(Fits(3, 8, absl::Seconds(20))) << "behind the others it is late itself";
  EXPECT_TRUE(Fits(2, 100, absl::InfiniteDuration())) << "goes behind all deadlines";
  policy_.Remove(2);
  EXPECT_TRUE(Fits(3, 8, absl::Seconds(20)));
}

TEST_F(StepPolicyFit, CountsTrajectoriesInFlightAndNothingThatIsInfeasible) {
  Admit(1, 8, absl::Seconds(10));
  Admit(2, 8, absl::Seconds(10));
  policy_.Choose(Room(2));
  EXPECT_FALSE(Fits(1, 1, absl::Seconds(10)));
  policy_.PutBack(1, {.image_index = 0, .rows_left = 7, .resident = true});
  EXPECT_TRUE(Fits(1, 1, absl::Seconds(10)));
  EXPECT_FALSE(Fits(1, 2, absl::Seconds(10)));
  Admit(3, 1000, absl::Seconds(5));
  EXPECT_FALSE(Fits(1, 1, absl::Seconds(10)));
  policy_.Choose(Room(1));
  EXPECT_TRUE(Fits(1, 1, absl::Seconds(10))) << "what is late anyway is no reason";
}

TEST_F(StepPolicyFit, LaysOutOnTheTenantsShare) {
  policy_.Admit(Of(1, "other"), Trajectories(4, 1000));
  EXPECT_TRUE(Fits(1, 8, absl::Seconds(10))) << "one of the two places";
  EXPECT_FALSE(Fits(2, 8, absl::Seconds(10)));
  policy_.Admit(Of(2, "third"), Trajectories(4, 1000));
  policy_.Admit(Of(3, "fourth"), Trajectories(4, 1000));
  EXPECT_TRUE(Fits(1, 4, absl::Seconds(10))) << "half a place";
  EXPECT_FALSE(Fits(1, 5, absl::Seconds(10)));
}

TEST_F(StepPolicyFit, LaysOutOnWhatClassHighLeaves) {
  policy_.Admit(Of(1, "", Priority::kHigh, "other"), Trajectories(1, 4));
  EXPECT_TRUE(Fits(2, 6, absl::Seconds(10))) << "as if HIGH's two seconds came first";
  EXPECT_FALSE(Fits(2, 7, absl::Seconds(10)));
  policy_.Admit(Of(2, "", Priority::kHigh, "other"), Trajectories(4, 1000));
  EXPECT_TRUE(Fits(1, 8, absl::Seconds(10))) << "one of the two places";
  EXPECT_FALSE(Fits(2, 8, absl::Seconds(10)));
}

TEST_F(StepPolicyFit, LaysOutOnTheAddressShareWhateverTenantsOthersName) {
  for (uint64_t id = 1; id <= 50; ++id) {
    policy_.Admit(Of(id, std::to_string(id), Priority::kNormal, "other"), Trajectories(1, 1000));
  }
  EXPECT_TRUE(Fits(1, 8, absl::Seconds(10))) << "one of the two places";
  EXPECT_FALSE(Fits(2, 8, absl::Seconds(10)));
}

TEST_F(StepPolicyDeadlines, AreKeptWithinATenantsShare) {
  Admit(1, 20, absl::Seconds(20), "hurried");
  Admit(2, 20, absl::Seconds(20), "hurried");
  Admit(3, 20, absl::InfiniteDuration(), "calm");
  EXPECT_THAT(policy_.Choose(Room(2)),
              ::testing::UnorderedElementsAre(
                  ::testing::Field(&Choice::generation, ::testing::Le(2)), Choice{3, 0}));
}

TEST_F(StepPolicyDeadlines, CountWholeGenerations) {
  PolicyGeneration many = Of(1);
  many.deadline = kStart + absl::Seconds(50);
  policy_.Admit(many, Trajectories(8, 10));  // 80 rows, two a second: 40 seconds and the margin.
  Admit(2, 5, absl::InfiniteDuration());
  EXPECT_THAT(policy_.Choose(Room(1)), ElementsAre(Choice{1, 0}));
}

}  // namespace
}  // namespace diffusiond
