// StepPolicy over many batches: who finishes when.
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/engine/step_policy.h"
#include "tests/server/engine/policy_trajectories.h"

namespace diffusiond {
namespace {

using Choice = PolicyChoice;

// Drives a policy as a scheduler would: everything that is chosen runs one step and comes back.
class Simulation {
 public:
  void Admit(uint64_t generation, int count, int rows_left) {
    policy_.Admit(Of(generation), Trajectories(count, rows_left));
    for (int i = 0; i < count; ++i) rows_left_[{generation, i}] = rows_left;
    images_left_[generation] = count;
  }

  // One batch; the generations that finished with it.
  std::vector<uint64_t> Step(int capacity) {
    std::vector<uint64_t> finished;
    for (const Choice& choice : policy_.Choose(Room(capacity, kUnlimited))) {
      int& left = rows_left_.at({choice.generation, choice.image_index});
      if (--left > 0) {
        policy_.PutBack(choice.generation,
                        {.image_index = choice.image_index, .rows_left = left, .resident = true});
        continue;
      }
      policy_.Retire(choice.generation, choice.image_index);
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
  EXPECT_LE(steps, StepPolicy::Options().patience * kLong * kShort / kCapacity + kLong);
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
