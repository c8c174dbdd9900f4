// Who gets how much of the machine, and what is foretold of it.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/step_policy.h"
#include "tests/server/engine/policy_trajectories.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// Rows that each group was given, by a name that the test gives it.
class Machine {
 public:
  explicit Machine(StepPolicy::Options options = {}) : policy_(std::move(options)) {}

  void Admit(const std::string& name, PolicyGeneration generation, int count, int rows_left) {
    generation.id = names_.size() + 1;
    generation.admitted = now_;
    names_.push_back(name);
    policy_.Admit(generation, Trajectories(count, rows_left));
    for (int i = 0; i < count; ++i) left_[{generation.id, i}] = rows_left;
    images_left_[generation.id] = count;
  }

  // One batch, which takes a second, with so many residents at most; false if there was nothing to
  // do.
  bool Step(SchedulingPolicy::Offer offer) {
    offer.now = now_;
    offer.new_residents -= static_cast<int>(begun_.size());
    const std::vector<PolicyChoice> chosen = policy_.Choose(offer);
    now_ += absl::Seconds(1);
    for (const PolicyChoice& choice : chosen) {
      const std::string& name = names_[choice.generation - 1];
      ++rows_[name];
      const std::pair image(choice.generation, choice.image_index);
      begun_.insert(image);
      int& left = left_.at(image);
      if (--left > 0) {
        policy_.PutBack(choice.generation,
                        {.image_index = choice.image_index, .rows_left = left, .resident = true});
        continue;
      }
      begun_.erase(image);
      policy_.Retire(choice.generation, choice.image_index);
      if (--images_left_.at(choice.generation) > 0) continue;
      policy_.Remove(choice.generation);
      finished_[name] = now_;
    }
    return !chosen.empty();
  }
  std::map<std::string, int> RowsOf(int batches, int capacity) {
    rows_.clear();
    for (int i = 0; i < batches; ++i) Step(Room(capacity));
    return rows_;
  }
  // Rows until `name` is finished.
  double RowsUntilFinished(const std::string& name, const SchedulingPolicy::Offer& offer) {
    const absl::Time begin = now_;
    while (!finished_.contains(name) && Step(offer)) {
    }
    return absl::ToDoubleSeconds(finished_.at(name) - begin) * offer.capacity;
  }

  StepPolicy& policy() { return policy_; }

 private:
  StepPolicy policy_;
  absl::Time now_ = kStart;
  std::vector<std::string> names_;
  std::map<std::pair<uint64_t, int>, int> left_;
  std::map<uint64_t, int> images_left_;
  std::set<std::pair<uint64_t, int>> begun_;
  std::map<std::string, int> rows_;
  std::map<std::string, absl::Time> finished_;
};

// Turns do not fall evenly at either end.
auto About(int rows) { return ::testing::AllOf(::testing::Ge(rows - 2), ::testing::Le(rows + 2)); }

constexpr int kLong = 1'000'000;
const StepPolicy::Options kNoAgeing = {.ageing = absl::InfiniteDuration(), .high_share = 0.75};

PolicyGeneration From(const std::string& address, const std::string& tenant = "",
                      Priority priority = Priority::kNormal) {
  return Of(0, tenant, priority, address);
}

// Addresses.

TEST(StepPolicyAddresses, ShareTheMachineHoweverManyTenantsOneNames) {
  Machine machine;
  for (int i = 0; i < 200; ++i) machine.Admit("many", From("a", absl::StrCat(i)), 4, kLong);
  machine.Admit("one", From("b", "honest"), 4, kLong);
  EXPECT_THAT(machine.RowsOf(500, 4),
              ElementsAre(Pair("many", About(1000)), Pair("one", About(1000))));
}

TEST(StepPolicyAddresses, ShareTheirPartsByTenantAndWeight) {
  Machine machine({.ageing = absl::InfiniteDuration(), .tenant_weights = {{"y", 3}}});
  machine.Admit("x", From("a", "x"), 9, kLong);
  machine.Admit("y", From("a", "y"), 1, kLong);
  machine.Admit("z", From("b", "z"), 9, kLong);
  machine.Admit("x of b", From("b", "x"), 9, kLong);
  // As heavy as y, a has three parts of four.
  EXPECT_THAT(machine.RowsOf(1600, 1),
              ElementsAre(Pair("x", About(300)), Pair("x of b", About(200)), Pair("y", About(900)),
                          Pair("z", About(200))));
}

TEST(StepPolicyAddresses, HaveTenantsWhoseWeightsChange) {
  std::map<std::string, double> weights = {{"y", 3}};
  const auto weight_of = [&weights](const std::string& tenant) {
    const auto found = weights.find(tenant);
    return found == weights.end() ? std::nullopt : std::optional<double>(found->second);
  };
  Machine machine(
      {.ageing = absl::InfiniteDuration(), .tenant_weights = {{"x", 1}}, .weight_of = weight_of});
  weights["x"] = 100;  // The flag goes first.
  machine.Admit("x", From("a", "x"), 1, kLong);
  machine.Admit("y", From("a", "y"), 1, 150);
  EXPECT_THAT(machine.RowsOf(200, 1), ElementsAre(Pair("x", About(50)), Pair("y", About(150))));
  weights.clear();
  machine.Admit("y again", From("a", "y"), 1, kLong);
  EXPECT_THAT(machine.RowsOf(200, 1),
              ElementsAre(Pair("x", About(100)), Pair("y again", About(100))))
      << "who comes again has the weight of then";
}

TEST(StepPolicyAddresses, ThatLeaveAndComeBackGetNoCreditAndKeepNoWeight) {
  Machine machine({.ageing = absl::InfiniteDuration(), .tenant_weights = {{"heavy", 5}}});
  machine.Admit("a", From("a"), 4, kLong);
  machine.Admit("b", From("b"), 4, 50);
  machine.Admit("heavy", From("b", "heavy"), 1, 50);
  machine.RowsUntilFinished("heavy", Room(2));
  machine.RowsUntilFinished("b", Room(2));
  EXPECT_THAT(machine.RowsOf(100, 2), ElementsAre(Pair("a", About(200)))) << "alone it gets all";
  machine.Admit("back", From("b"), 4, kLong);
  EXPECT_THAT(machine.RowsOf(100, 2), ElementsAre(Pair("a", About(100)), Pair("back", About(100))));
}

TEST(StepPolicyAddresses, WithNothingBegunFindAPlaceBesideOneThatBeginsEverything) {
  Machine machine;
  for (int i = 0; i < 300; ++i) machine.Admit("many", From("a", absl::StrCat(i)), 1, kLong);
  const SchedulingPolicy::Offer offer = Room(4, 64);
  for (int i = 0; i < 300; ++i) machine.Step(offer);
  machine.Admit("newcomer", From("b"), 2, 20);
  EXPECT_LE(machine.RowsUntilFinished("newcomer", offer), 21 * 4) << "in every batch but one";
}

// Classes.

TEST(StepPolicyHigh, HasItsShareOfTheMachineWhileOthersWait) {
  Machine machine(kNoAgeing);
  machine.Admit("high", From("a", "", Priority::kHigh), 512, kLong);
  EXPECT_THAT(machine.RowsOf(100, 4), ElementsAre(Pair("high", About(400)))) << "alone it gets all";
  machine.Admit("normal", From("b"), 4, kLong);
  machine.Admit("low", From("b", "", Priority::kLow), 4, kLong);
  EXPECT_THAT(machine.RowsOf(100, 4),
              ElementsAre(Pair("high", About(300)), Pair("normal", About(100))));
  EXPECT_THAT(machine.RowsOf(400, 1),
              ElementsAre(Pair("high", About(300)), Pair("normal", About(100))));
}

TEST(StepPolicyHigh, IsInEveryBatchWhileItAsksForLess) {
  Machine machine(kNoAgeing);
  machine.Admit("flood", From("a"), 64, kLong);
  machine.RowsOf(1000, 4);
  machine.Admit("high", From("b", "", Priority::kHigh), 3, 50);
  EXPECT_EQ(machine.RowsUntilFinished("high", Room(4)), 50 * 4);
}

TEST(StepPolicyHigh, OfAllTheMachineGoesBeforeTheOthers) {
  Machine machine({.ageing = absl::InfiniteDuration(), .high_share = 1});
  machine.Admit("high", From("a", "", Priority::kHigh), 4, 100);
  machine.Admit("normal", From("b"), 4, kLong);
  EXPECT_LE(machine.RowsUntilFinished("high", Room(4)), 101 * 4);
}

TEST(StepPolicyHigh, LeavesWhatAgedAnEqualPart) {
  Machine machine({.ageing = absl::Seconds(30)});
  machine.Admit("high", From("a", "", Priority::kHigh), 512, kLong);
  machine.Admit("low", From("b", "", Priority::kLow), 4, kLong);
  machine.RowsOf(60, 4);
  EXPECT_THAT(machine.RowsOf(100, 4),
              ElementsAre(Pair("high", About(200)), Pair("low", About(200))));
}

// What is foretold, against what comes.

struct Foretold {
  std::string name;
  std::vector<std::pair<PolicyGeneration, int>> before;  // And images, each of 100 rows.
  PolicyGeneration asked = {};                           // Of 48 images of 20 rows.
};

class StepPolicyForetells : public ::testing::TestWithParam<Foretold> {};

TEST_P(StepPolicyForetells, TheRowsUntilAGenerationIsDone) {
  Machine machine(kNoAgeing);
  for (const auto& [generation, count] : GetParam().before) {
    machine.Admit("before", generation, count, 100);
  }
  const double foretold = machine.policy().PassesUntilDone(GetParam().asked, Trajectories(48, 20));
  machine.Admit("asked", GetParam().asked, 48, 20);
  const double rows = machine.RowsUntilFinished("asked", Room(4));
  EXPECT_NEAR(foretold / rows, 1, 0.08) << foretold << " foretold, " << rows << " came";
}

INSTANTIATE_TEST_SUITE_P(
    Policy, StepPolicyForetells,
    ::testing::Values(
        Foretold{"Alone", {}, From("a")},
        Foretold{
            "BesideAnAddressOfTwoTenants", {{From("b", "x"), 8}, {From("b", "y"), 8}}, From("a")},
        Foretold{"BesideATenantOfItsAddressAndAnotherAddress",
                 {{From("a", "x"), 8}, {From("b", "y"), 8}},
                 From("a")},
        Foretold{"BesideAnAddressWithLittle", {{From("b"), 1}}, From("a")},
        Foretold{"BesideHigh", {{From("b", "", Priority::kHigh), 30}}, From("a")},
        Foretold{"BesideLittleHigh", {{From("b", "", Priority::kHigh), 2}}, From("a")},
        Foretold{"HighBesideNormalAndLow",
                 {{From("b"), 8}, {From("c", "", Priority::kLow), 8}},
                 From("a", "", Priority::kHigh)},
        Foretold{"LowBehindNormalBesideHigh",
                 {{From("b"), 4}, {From("c", "", Priority::kHigh), 80}},
                 From("a", "", Priority::kLow)}),
    [](const auto& info) { return info.param.name; });

TEST(StepPolicyForetells, WhenPartOfWhatIsHeldWillBeFree) {
  StepPolicy policy(kNoAgeing);
  EXPECT_FALSE(policy.UntilFree({}, 0.5).has_value());
  policy.Admit(Of(1, "x", Priority::kNormal, "a"), Trajectories(4, 100));
  policy.Admit(Of(2, "y", Priority::kNormal, "a"), Trajectories(4, 20, 2));
  policy.Admit(Of(3, "z", Priority::kHigh, "b"), Trajectories(8, 10));
  const auto until = [&policy](Holder holder, double part) {
    const std::optional<PolicyWait> wait = policy.UntilFree(holder, part);
    return wait.has_value() ? std::pair(wait->passes, wait->rows) : std::pair(-1.0, -1.0);
  };
  using Whose = Holder::Whose;
  EXPECT_THAT(until({.whose = Whose::kAll}, 0.5), Pair(80, 10)) << "what goes first";
  EXPECT_THAT(until({.whose = Whose::kHigh}, 0.25),
              Pair(::testing::DoubleNear(20 / 0.75, 1e-9), 10));
  EXPECT_THAT(until({.whose = Whose::kTenant, .address = "a", .tenant = "x"}, 0.25),
              Pair(100 + 100 + 80, 100))
      << "y goes beside it, and all of HIGH";
  EXPECT_THAT(until({.whose = Whose::kTenant, .address = "a", .tenant = "y"}, 0.1),
              Pair(40 + 40 + 80, 20));
  EXPECT_THAT(until({.whose = Whose::kAddress, .address = "a"}, 0.25), Pair(80 + 80, 20));
  EXPECT_THAT(until({.whose = Whose::kAddress, .address = "c"}, 0.25), Pair(-1, -1));
}

}  // namespace
}  // namespace diffusiond
