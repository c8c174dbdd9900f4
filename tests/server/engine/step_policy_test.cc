#include "server/engine/step_policy.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/engine/policy_trajectories.h"

namespace diffusiond {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using Choice = PolicyChoice;

struct Waiting {
  uint64_t generation;
  int count;
  int rows_left;
  int passes;
};

struct Case {
  std::string name;
  std::vector<Waiting> waiting;
  int capacity;
  int new_residents;
  std::vector<Choice> expected;
};

class ChoiceTable : public ::testing::TestWithParam<Case> {};

TEST_P(ChoiceTable, IsAsExpected) {
  StepPolicy policy;
  for (const Waiting& w : GetParam().waiting) {
    policy.Admit(Of(w.generation), Trajectories(w.count, w.rows_left, w.passes));
  }
  EXPECT_EQ(policy.Choose(Room(GetParam().capacity, GetParam().new_residents)),
            GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Policy, ChoiceTable,
    ::testing::Values(
        Case{"NothingWaits", {}, 4, kUnlimited, {}},
        Case{"AllFit", {{1, 2, 10, 1}, {2, 1, 10, 1}}, 4, kUnlimited, {{1, 0}, {2, 0}, {1, 1}}},
        Case{"LeastLeftFirst", {{1, 1, 250, 1}, {2, 1, 20, 1}}, 1, kUnlimited, {{2, 0}}},
        Case{"OlderFirstAmongEquals", {{7, 1, 20, 1}, {3, 1, 20, 1}}, 1, kUnlimited, {{3, 0}}},
        Case{"ManyImagesDoNotPushOutOne",
             {{1, 64, 50, 1}, {2, 1, 50, 1}},
             4,
             kUnlimited,
             {{1, 0}, {2, 0}, {1, 1}, {1, 2}}},
        Case{"TwoLargeGenerationsShareEvenly",
             {{1, 9, 50, 1}, {2, 9, 50, 1}},
             4,
             kUnlimited,
             {{1, 0}, {2, 0}, {1, 1}, {2, 1}}},
        Case{"GuidedTakesTwo", {{1, 3, 10, 2}}, 5, kUnlimited, {{1, 0}, {1, 1}}},
        Case{"GuidedThatDoesNotFitIsPassedOver",
             {{1, 1, 5, 1}, {2, 1, 10, 2}, {3, 1, 20, 1}},
             2,
             kUnlimited,
             {{1, 0}, {3, 0}}},
        Case{"GuidedNeverFitsInOne", {{1, 1, 10, 2}}, 1, kUnlimited, {}},
        Case{"NoNewResidents", {{1, 1, 10, 1}}, 4, 0, {}},
        Case{"OneNewResident", {{1, 2, 10, 1}, {2, 1, 5, 1}}, 4, 1, {{2, 0}}}),
    [](const auto& info) { return info.param.name; });

TEST(StepPolicy, ResidentsGoOnWhenNoNewOneMayBegin) {
  StepPolicy policy;
  policy.Admit(Of(1), Trajectories(1, 100));
  ASSERT_THAT(policy.Choose(Room(4, 1)), ElementsAre(Choice{1, 0}));
  policy.PutBack(1, {.image_index = 0, .rows_left = 99, .resident = true});
  policy.Admit(Of(2), Trajectories(1, 1));  // Shorter, but it may not begin.
  EXPECT_THAT(policy.Choose(Room(4, 0)), ElementsAre(Choice{1, 0}));
}

TEST(StepPolicy, RowsInFlightElsewhereCountForFairness) {
  StepPolicy policy;
  policy.Admit(Of(1), Trajectories(8, 20));
  policy.Admit(Of(2), Trajectories(8, 20));
  // Another worker has a row of generation 1.
  ASSERT_THAT(policy.Choose(Room(1, kUnlimited)), ElementsAre(Choice{1, 0}));
  EXPECT_THAT(policy.Choose(Room(2, kUnlimited)), ElementsAre(Choice{2, 0}, Choice{1, 1}));
}

TEST(StepPolicy, WhatWasPassedOverComesFirstNextTime) {
  StepPolicy policy;
  policy.Admit(Of(1), Trajectories(1, 5));
  policy.Admit(Of(2), Trajectories(1, 10, 2));
  policy.Admit(Of(3), Trajectories(1, 20));
  ASSERT_THAT(policy.Choose(Room(2, kUnlimited)), ElementsAre(Choice{1, 0}, Choice{3, 0}));
  policy.Retire(1, 0);
  policy.PutBack(3, {.image_index = 0, .rows_left = 19, .resident = true});
  EXPECT_THAT(policy.Choose(Room(2, kUnlimited)), ElementsAre(Choice{2, 0}));
}

TEST(StepPolicy, RowsInFlightAreNotChosenAgain) {
  StepPolicy policy;
  policy.Admit(Of(1), Trajectories(2, 10));
  EXPECT_EQ(policy.waiting_passes(), 2);
  ASSERT_THAT(policy.Choose(Room(1, kUnlimited)), ElementsAre(Choice{1, 0}));
  ASSERT_THAT(policy.Choose(Room(4, kUnlimited)), ElementsAre(Choice{1, 1}));
  EXPECT_THAT(policy.Choose(Room(4, kUnlimited)), IsEmpty());
  EXPECT_EQ(policy.waiting_passes(), 0);
}

TEST(StepPolicy, ARemovedGenerationIsForgottenWhateverItsRowsDo) {
  StepPolicy policy;
  policy.Admit(Of(1), Trajectories(4, 10, 2));
  policy.Choose(Room(2, kUnlimited));
  policy.Remove(1);
  policy.Remove(1);
  EXPECT_THAT(policy.Choose(Room(8, kUnlimited)), IsEmpty());
  EXPECT_EQ(policy.waiting_passes(), 0);
  EXPECT_TRUE(policy.empty());
}

// Classes.

TEST(StepPolicyClasses, AHigherClassGoesFirstWhateverItsLengthAndHighTakesTurns) {
  StepPolicy policy;
  policy.Admit(Of(1, "", Priority::kLow), Trajectories(2, 1));
  policy.Admit(Of(2, "", Priority::kNormal), Trajectories(2, 5));
  policy.Admit(Of(3, "", Priority::kHigh), Trajectories(2, 900));
  EXPECT_THAT(policy.Choose(Room(5)),
              ElementsAre(Choice{3, 0}, Choice{2, 0}, Choice{3, 1}, Choice{2, 1}, Choice{1, 0}));
}

TEST(StepPolicyClasses, AGenerationMovesUpAClassForEachAgeing) {
  StepPolicy policy({.ageing = absl::Seconds(30)});
  policy.Admit(Of(1, "", Priority::kLow), Trajectories(1, 9));
  auto newcomer = [&policy, id = uint64_t{10}](Priority priority, absl::Duration age) mutable {
    PolicyGeneration generation = Of(++id, "", priority);
    generation.admitted = kStart + age;
    policy.Admit(generation, Trajectories(1, 10));
    const std::vector<Choice> chosen = policy.Choose(Room(1, kUnlimited, kStart + age));
    policy.Remove(id);
    if (chosen[0].generation == 1) {
      policy.PutBack(1, {.image_index = 0, .rows_left = 9});
    }
    return chosen[0].generation == 1 ? "the old one" : "the newcomer";
  };
  EXPECT_STREQ(newcomer(Priority::kNormal, absl::Seconds(29)), "the newcomer");
  EXPECT_STREQ(newcomer(Priority::kNormal, absl::Seconds(30)), "the old one");
  EXPECT_STREQ(newcomer(Priority::kHigh, absl::Seconds(59)), "the newcomer");
  EXPECT_STREQ(newcomer(Priority::kHigh, absl::Seconds(60)), "the old one");
}

TEST(StepPolicyClasses, WhatMovesUpInFlightComesBackToItsNewClass) {
  StepPolicy policy({.ageing = absl::Seconds(30)});
  policy.Admit(Of(1, "", Priority::kLow), Trajectories(2, 9));
  ASSERT_THAT(policy.Choose(Room(1)), ElementsAre(Choice{1, 0}));
  PolicyGeneration later = Of(2);
  later.admitted = kStart + absl::Seconds(31);
  policy.Admit(later, Trajectories(1, 5));
  ASSERT_THAT(policy.Choose(Room(1, kUnlimited, kStart + absl::Seconds(31))),
              ElementsAre(Choice{2, 0}));
  policy.PutBack(1, {.image_index = 0, .rows_left = 8, .resident = true});
  policy.PutBack(2, {.image_index = 0, .rows_left = 20, .resident = true});
  EXPECT_THAT(policy.Choose(Room(1, kUnlimited, kStart + absl::Seconds(32))),
              ElementsAre(Choice{1, 0}));
}

// Tenants.

// What each tenant was given over `batches` of `capacity`, all of them hungry for more.
std::map<std::string, int> Served(StepPolicy& policy, const std::vector<std::string>& tenants,
                                  int capacity, int batches) {
  std::map<uint64_t, std::string> owner;
  uint64_t id = 0;
  for (const std::string& tenant : tenants) {
    // Ten long requests from the first, one from each other: requests are no shares.
    for (int i = 0; i < (id < 10 ? 10 : 1); ++i) {
      owner[++id] = tenant;
      policy.Admit(Of(id, tenant), Trajectories(16, 1'000'000));
    }
  }
  std::map<std::string, int> served;
  for (int i = 0; i < batches; ++i) {
    const std::vector<Choice> chosen = policy.Choose(Room(capacity));
    EXPECT_EQ(chosen.size(), static_cast<size_t>(capacity));
    for (const Choice& choice : chosen) ++served[owner.at(choice.generation)];
    for (const Choice& choice : chosen) {
      policy.PutBack(choice.generation,
                     {.image_index = choice.image_index, .rows_left = 1'000'000});
    }
  }
  return served;
}

TEST(StepPolicyTenants, GetEqualSharesHoweverMuchTheyAskFor) {
  StepPolicy policy;
  EXPECT_THAT(Served(policy, {"a", "b", "c"}, 4, 300),
              ElementsAre(Pair("a", 400), Pair("b", 400), Pair("c", 400)));
}

TEST(StepPolicyTenants, GetSharesByWeight) {
  StepPolicy policy({.tenant_weights = {{"b", 2}}});
  EXPECT_THAT(Served(policy, {"a", "b", "c"}, 4, 300),
              ElementsAre(Pair("a", 300), Pair("b", 600), Pair("c", 300)));
}

TEST(StepPolicyTenants, ALoneRequestIsInEveryBatchBesideAFlood) {
  StepPolicy policy;
  for (uint64_t id = 1; id <= 1000; ++id) policy.Admit(Of(id, "flood"), Trajectories(1, 20));
  for (int i = 0; i < 50; ++i) policy.Choose(Room(4));
  policy.Admit(Of(2000, "lone"), Trajectories(1, 20));
  for (int left = 20; left > 0; --left) {
    const std::vector<Choice> chosen = policy.Choose(Room(4));
    ASSERT_THAT(chosen, Contains(Choice{2000, 0}));
    policy.PutBack(2000, {.image_index = 0, .rows_left = std::max(1, left - 1), .resident = true});
  }
}

TEST(StepPolicyTenants, GetNoCreditForTimeAway) {
  StepPolicy policy;
  policy.Admit(Of(1, "busy"), Trajectories(4, 1'000'000));
  const auto step = [&policy] {
    std::map<uint64_t, int> rows;
    for (const Choice& choice : policy.Choose(Room(2))) {
      ++rows[choice.generation];
      policy.PutBack(choice.generation,
                     {.image_index = choice.image_index, .rows_left = 1'000'000});
    }
    return rows;
  };
  for (int i = 0; i < 100; ++i) step();
  policy.Admit(Of(2, "newcomer"), Trajectories(4, 1'000'000));
  int newcomers = 0;
  for (int i = 0; i < 10; ++i) newcomers += step()[2];
  EXPECT_THAT(newcomers, ::testing::AllOf(::testing::Ge(9), ::testing::Le(11)));
}

// Prediction.

TEST(StepPolicyPrediction, CountsWhatGoesBefore) {
  StepPolicy policy;
  const auto until_done = [&policy](const PolicyGeneration& generation, int rows_left) {
    return policy.PassesUntilDone(generation, Trajectories(1, rows_left));
  };
  EXPECT_EQ(until_done(Of(9, "a"), 20), 20);
  policy.Admit(Of(1, "a"), Trajectories(2, 10));
  policy.Admit(Of(2, "a"), Trajectories(1, 500, 2));
  EXPECT_EQ(until_done(Of(9, "a"), 20), 20 + 2 * 10) << "500 is longer than 20";
  EXPECT_EQ(until_done(Of(9, "a"), 600), 600 + 2 * 10 + 2 * 500);
  // Another tenant's work goes beside it, row by row, while there is any.
  EXPECT_EQ(until_done(Of(9, "b"), 20), 20 + 20);
  EXPECT_EQ(until_done(Of(9, "b"), 5000), 5000 + 2 * 10 + 2 * 500);
  EXPECT_EQ(until_done(Of(9, "b", Priority::kHigh), 20), 20 + 20) << "has half of the rows";
  EXPECT_EQ(until_done(Of(9, "b", Priority::kLow), 20), 20 + 2 * 10 + 2 * 500);
  // In flight or not, work is work until it is done.
  policy.Choose(Room(4));
  EXPECT_EQ(until_done(Of(9, "a"), 600), 600 + 2 * 10 + 2 * 500);
  policy.PutBack(1, {.image_index = 0, .rows_left = 9, .resident = true});
  policy.Retire(1, 1);
  EXPECT_EQ(until_done(Of(9, "a"), 600), 600 + 9 + 2 * 500);
  policy.Remove(2);
  policy.Remove(1);
  EXPECT_EQ(until_done(Of(9, "a"), 600), 600);
}

}  // namespace
}  // namespace diffusiond
