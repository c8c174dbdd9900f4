#include "server/engine/policy.h"

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Choice = StepPolicy::Choice;

std::vector<StepPolicy::Row> Rows(int count, int rows_left, int network_rows = 1) {
  std::vector<StepPolicy::Row> rows;
  for (int i = 0; i < count; ++i) {
    rows.push_back({.image_index = i, .rows_left = rows_left, .network_rows = network_rows});
  }
  return rows;
}

constexpr int kUnlimited = 1000;

struct Waiting {
  uint64_t generation;
  int count;
  int rows_left;
  int network_rows;
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
    policy.Admit(w.generation, Rows(w.count, w.rows_left, w.network_rows));
  }
  EXPECT_EQ(policy.Choose(GetParam().capacity, GetParam().new_residents), GetParam().expected);
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
  policy.Admit(1, Rows(1, 100));
  ASSERT_THAT(policy.Choose(4, 1), ElementsAre(Choice{1, 0}));
  policy.PutBack(1, {.image_index = 0, .rows_left = 99, .resident = true});
  policy.Admit(2, Rows(1, 1));  // Shorter, but it may not begin.
  EXPECT_THAT(policy.Choose(4, 0), ElementsAre(Choice{1, 0}));
}

TEST(StepPolicy, RowsInFlightElsewhereCountForFairness) {
  StepPolicy policy;
  policy.Admit(1, Rows(8, 20));
  policy.Admit(2, Rows(8, 20));
  // Another worker has a row of generation 1.
  ASSERT_THAT(policy.Choose(1, kUnlimited), ElementsAre(Choice{1, 0}));
  EXPECT_THAT(policy.Choose(2, kUnlimited), ElementsAre(Choice{2, 0}, Choice{1, 1}));
}

TEST(StepPolicy, WhatWasPassedOverComesFirstNextTime) {
  StepPolicy policy;
  policy.Admit(1, Rows(1, 5));
  policy.Admit(2, Rows(1, 10, 2));
  policy.Admit(3, Rows(1, 20));
  ASSERT_THAT(policy.Choose(2, kUnlimited), ElementsAre(Choice{1, 0}, Choice{3, 0}));
  policy.Retire(1);
  policy.PutBack(3, {.image_index = 0, .rows_left = 19, .resident = true});
  EXPECT_THAT(policy.Choose(2, kUnlimited), ElementsAre(Choice{2, 0}));
}

TEST(StepPolicy, RowsInFlightAreNotChosenAgain) {
  StepPolicy policy;
  policy.Admit(1, Rows(2, 10));
  EXPECT_EQ(policy.waiting_network_rows(), 2);
  ASSERT_THAT(policy.Choose(1, kUnlimited), ElementsAre(Choice{1, 0}));
  ASSERT_THAT(policy.Choose(4, kUnlimited), ElementsAre(Choice{1, 1}));
  EXPECT_THAT(policy.Choose(4, kUnlimited), IsEmpty());
  EXPECT_EQ(policy.waiting_network_rows(), 0);
}

TEST(StepPolicy, ARemovedGenerationIsForgottenWhateverItsRowsDo) {
  StepPolicy policy;
  policy.Admit(1, Rows(4, 10, 2));
  policy.Choose(2, kUnlimited);
  policy.Remove(1);
  policy.Remove(1);
  EXPECT_THAT(policy.Choose(8, kUnlimited), IsEmpty());
  EXPECT_EQ(policy.waiting_network_rows(), 0);
  EXPECT_TRUE(policy.empty());
}

// Drives a policy as a scheduler would: everything that is chosen runs one step and comes back.
class Simulation {
 public:
  void Admit(uint64_t generation, int count, int rows_left) {
    policy_.Admit(generation, Rows(count, rows_left));
    for (int i = 0; i < count; ++i) rows_left_[{generation, i}] = rows_left;
    images_left_[generation] = count;
  }

  // One batch; the generations that finished with it.
  std::vector<uint64_t> Step(int capacity) {
    std::vector<uint64_t> finished;
    for (const Choice& choice : policy_.Choose(capacity, kUnlimited)) {
      int& left = rows_left_.at({choice.generation, choice.image_index});
      if (--left > 0) {
        policy_.PutBack(choice.generation,
                        {.image_index = choice.image_index, .rows_left = left, .resident = true});
        continue;
      }
      policy_.Retire(choice.generation);
      if (--images_left_.at(choice.generation) == 0) {
        policy_.Remove(choice.generation);
        finished.push_back(choice.generation);
      }
    }
    return finished;
  }

  // Batches until `generation` is finished, while `arrivals` is called before each.
  template <typename Arrivals>
  int StepsUntilFinished(uint64_t generation, int capacity, Arrivals arrivals) {
    for (int steps = 1; steps < 100'000; ++steps) {
      arrivals();
      for (uint64_t finished : Step(capacity)) {
        if (finished == generation) return steps;
      }
    }
    return -1;
  }

  bool empty() const { return policy_.empty(); }

 private:
  StepPolicy policy_;
  std::map<std::pair<uint64_t, int>, int> rows_left_;
  std::map<uint64_t, int> images_left_;
};

TEST(StepPolicySimulation, ShortWorkPassesALongRequestWithManyImages) {
  Simulation simulation;
  simulation.Admit(1, 64, 250);
  for (int i = 0; i < 100; ++i) simulation.Step(4);
  simulation.Admit(2, 1, 20);
  EXPECT_EQ(simulation.StepsUntilFinished(2, 4, [] {}), 20);
}

TEST(StepPolicySimulation, AFloodOfShortWorkDelaysLongWorkByItsPatienceOnly) {
  constexpr int kLong = 100, kShort = 5, kCapacity = 4;
  Simulation simulation;
  simulation.Admit(1, 1, kLong);
  uint64_t next = 2;
  // One short request for each batch, more than the capacity, for ever.
  const int steps =
      simulation.StepsUntilFinished(1, kCapacity, [&] { simulation.Admit(next++, 1, kShort); });
  EXPECT_GT(steps, kLong);
  // Short work admitted within the patience goes first, and takes kShort / kCapacity batches each.
  EXPECT_LE(steps, StepPolicy::kPatience * kLong * kShort / kCapacity + kLong);
}

TEST(StepPolicySimulation, EqualGenerationsAdmittedTogetherFinishTogether) {
  Simulation simulation;
  for (uint64_t generation = 1; generation <= 4; ++generation) simulation.Admit(generation, 8, 10);
  std::map<uint64_t, int> finished_at;
  for (int step = 1; !simulation.empty(); ++step) {
    for (uint64_t generation : simulation.Step(8)) finished_at[generation] = step;
  }
  ASSERT_EQ(finished_at.size(), 4u);
  for (const auto& [generation, step] : finished_at) {
    EXPECT_EQ(step, 40) << "generation " << generation;
  }
}

TEST(StepPolicySimulation, RandomWorkIsAllDoneAndNoCapacityIsWasted) {
  for (int seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto draw = [&random](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    Simulation simulation;
    int work = 0;
    for (uint64_t generation = 1; generation <= 30; ++generation) {
      const int count = draw(1, 9), rows = draw(1, 60);
      simulation.Admit(generation, count, rows);
      work += count * rows;
    }
    const int capacity = draw(1, 16);
    int steps = 0;
    for (; !simulation.empty() && steps <= work; ++steps) simulation.Step(capacity);
    EXPECT_TRUE(simulation.empty()) << "seed " << seed;
    // The last trajectories may not fill the batch.
    EXPECT_LE(steps, (work + capacity - 1) / capacity + 60) << "seed " << seed;
  }
}

}  // namespace
}  // namespace diffusiond
