// What one client's flood leaves to another: places in the queue, steps, and honest words about
// when to come again.
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "server/engine/refusal.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kCapacity = 4;
const absl::Duration kStep = absl::Milliseconds(100);

class EngineSharing : public ::testing::Test {
 protected:
  EngineSharing() : engine_(Options()) {}

  static SteppedEngine::Options Options() {
    SteppedEngine::Options options;
    options.executor.capacity = kCapacity;
    options.executor.micro_batch = kCapacity;
    return options;
  }

  static GenerationSpec From(const std::string& address, const std::string& tenant, int count,
                             int steps, Priority priority = Priority::kNormal) {
    GenerationSpec spec = Images(count, 1, HalvingPlan(steps));
    spec.address = address;
    spec.tenant = tenant;
    spec.priority = priority;
    return spec;
  }

  // Submits the same again and again, at most `times`; the images that were admitted.
  int Flood(const GenerationSpec& spec, int times) {
    int images = 0;
    for (int i = 0; i < times; ++i) {
      if (!Try(spec).ok()) break;
      images += static_cast<int>(spec.trajectories.size());
    }
    return images;
  }
  absl::Status Try(const GenerationSpec& spec) {
    return engine_.engine().Submit(spec, std::make_shared<RecordingListener>()).status();
  }

  void Step() {
    std::optional<StepBatch> batch = engine_.Take();
    ASSERT_TRUE(batch.has_value());
    engine_.clock().Advance(kStep);
    engine_.Finish(*std::move(batch));
  }
  void Step(int batches) {
    for (int i = 0; i < batches; ++i) Step();
  }
  // Batches until the request is done; it must be admitted.
  int StepsFor(const GenerationSpec& spec) {
    const std::shared_ptr<RecordingListener> listener = engine_.Submit(spec);
    int steps = 0;
    for (; listener->finished_calls() == 0 && steps < 10'000; ++steps) Step();
    EXPECT_TRUE(listener->status().ok()) << listener->status();
    return steps;
  }

  SteppedEngine engine_;
};

TEST_F(EngineSharing, AFloodLeavesAnotherTenantPlacesAndItsShareOfTheSteps) {
  const int held = Flood(From("a", "flood", 64, 1000), 16);
  EXPECT_GE(held, 1024 * 6 / 10) << "a tenant alone may use most of the queue";
  EXPECT_LE(held, 1024 * 3 / 4);
  Step(200);
  EXPECT_LE(StepsFor(From("b", "honest", 1, 50)), 52);
  EXPECT_LE(StepsFor(From("b", "honest", 4, 50)), 102) << "half of the machine";
  EXPECT_LE(StepsFor(From("a", "neighbour", 1, 50)), 52) << "at the flood's own address";
}

TEST_F(EngineSharing, InventedTenantsShareOneAddressesPart) {
  int held = 0;
  for (int i = 0; i < 1000; ++i) held += Flood(From("a", absl::StrCat(i), 1, 1000), 1);
  EXPECT_LE(held, 1024 * 3 / 4);
  Step(400);
  EXPECT_LE(StepsFor(From("b", "honest", 2, 50)), 52) << "half of the machine is enough";
  EXPECT_LE(StepsFor(From("b", "honest", 64, 50)), 64 * 50 / 2 + 52);
}

TEST_F(EngineSharing, AFloodInClassHighLeavesTheOthersPlacesAndSteps) {
  int held = 0;
  for (int i = 0; i < 40; ++i) {
    held += Flood(From(absl::StrCat(i), "x", 16, 1000, Priority::kHigh), 40);
  }
  EXPECT_LE(held, 1024 * 3 / 4);
  Step(20);
  EXPECT_LE(StepsFor(From("b", "honest", 1, 50)), 52) << "one row of four";
}

TEST_F(EngineSharing, AFloodOfOneUserInClassHighLeavesPlacesInTheClass) {
  Flood(From("a", "x", 16, 1000, Priority::kHigh), 100);
  EXPECT_TRUE(Try(From("b", "y", 16, 50, Priority::kHigh)).ok());
}

TEST_F(EngineSharing, ALoneTenantFillsTheMachine) {
  Flood(From("a", "x", 64, 100), 4);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(engine_.Step().size(), static_cast<size_t>(kCapacity));
}

TEST_F(EngineSharing, ARefusalNamesTheShareAndWhatIsHeld) {
  const int held = Flood(From("a", "flood", 64, 1000), 16);
  EXPECT_THAT(std::string(Try(From("a", "flood", 64, 1000)).message()),
              AllOf(HasSubstr(absl::StrCat("tenant \"flood\" has ", held, " of 1024 images")),
                    HasSubstr("64 more would pass its share"),
                    HasSubstr(absl::StrCat(1024 - held, " places are free"))));
  Flood(From("a", "second", 1, 1000), 1000);
  EXPECT_THAT(std::string(Try(From("a", "second", 64, 1000)).message()),
              HasSubstr("address \"a\" has "));
  EXPECT_EQ(RefusalReasonOf(Try(From("a", "second", 64, 1000))), RefusalReason::kOverShare);
}

// When a refused request is told to come again, against when it would have been taken.
class EngineRetry : public EngineSharing {
 protected:
  void ExpectTold(const GenerationSpec& spec) {
    const absl::Status refused = Try(spec);
    ASSERT_TRUE(RetryAfter(refused).has_value()) << refused;
    const absl::Time begin = engine_.clock().Now();
    while (!Try(spec).ok()) Step();
    const double ratio = absl::FDivDuration(*RetryAfter(refused), engine_.clock().Now() - begin);
    EXPECT_GT(ratio, 0.6) << refused;
    EXPECT_LT(ratio, 1.6) << refused;
  }
};

TEST_F(EngineRetry, OfATenantIsWhenItsPlacesAreFree) {
  Flood(From("a", "x", 4, 40), 1000);
  Step(3);
  ExpectTold(From("a", "x", 4, 40));
}

TEST_F(EngineRetry, OfATenantCountsTheOthersPart) {
  Flood(From("b", "y", 4, 1000), 100);
  Flood(From("a", "x", 4, 40), 1000);
  Step(3);
  ExpectTold(From("a", "x", 4, 40));
}

TEST_F(EngineRetry, OfAFullQueueIsWhenAnyPlaceIsFree) {
  for (int i = 0; i < 100; ++i) Flood(From(absl::StrCat(i), "x", 2, 60), 1000);
  Step(3);
  const absl::Status refused = Try(From("newcomer", "x", 64, 10));
  EXPECT_EQ(RefusalReasonOf(refused), RefusalReason::kQueueFull) << refused;
  ExpectTold(From("newcomer", "x", 64, 10));
}

TEST_F(EngineRetry, IsASecondWhileNoStepWasSeen) {
  Flood(From("a", "x", 4, 40), 1000);
  const absl::Status refused = Try(From("a", "x", 4, 40));
  EXPECT_EQ(RetryAfter(refused), absl::Seconds(1)) << refused;
}

}  // namespace
}  // namespace diffusiond
