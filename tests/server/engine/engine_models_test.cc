// Models that come and go while the engine runs.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "server/engine/model_key.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

GenerationSpec On(const std::string& model, uint64_t seed) {
  GenerationSpec spec = Images(1, seed, HalvingPlan(3));
  spec.model = model;
  return spec;
}

WorkerCapacity Capacity(const std::string& model) {
  return {.model = model, .capacity = 8, .micro_batch = 4};
}

TEST(EngineModels, AnAddedOneRunsBesideTheOthers) {
  SteppedEngine stepped;
  auto early = stepped.Submit(On("new", 1));
  EXPECT_THAT(stepped.Step(), IsEmpty()) << "no worker has it yet";
  stepped.engine().AddModel(stepped.worker(), Capacity("new"));
  stepped.engine().AddModel(stepped.worker(), Capacity("new"));  // Once is enough.
  auto old = stepped.Submit(On("model", 2));
  EXPECT_EQ(stepped.StepAll(), 6);
  EXPECT_TRUE(early->status().ok());
  EXPECT_TRUE(old->status().ok());
}

TEST(EngineModels, AnAddedOneIsSharedByIdleWorkersOnly) {
  SteppedEngine stepped;
  const WorkerId other = stepped.engine().AddWorker(stepped.capacities());
  auto busy = stepped.Submit(Images(1, 1, HalvingPlan(1)));
  std::optional<StepBatch> in_hand = stepped.Take();
  ASSERT_TRUE(in_hand.has_value());
  for (const WorkerId id : {stepped.worker(), other}) {
    stepped.engine().AddModel(id, Capacity("new"));
  }
  for (uint64_t seed = 10; seed < 18; ++seed) stepped.Submit(On("new", seed));
  // The worker that is at it counts for nothing: the idle one takes all.
  std::optional<StepBatch> batch = stepped.engine().TryNextBatch(other);
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->tasks.size(), 8u);
  stepped.Finish(*std::move(batch));
  stepped.Finish(*std::move(in_hand));
  // Both are idle now, and share.
  batch = stepped.engine().TryNextBatch(other);
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->tasks.size(), 4u);
  stepped.Finish(*std::move(batch));
  stepped.StepAll();
  EXPECT_TRUE(busy->status().ok());
}

TEST(EngineModels, ARemovedOneEndsWhatIsLeftAndTakesABatchBack) {
  SteppedEngine stepped;
  stepped.engine().AddModel(stepped.worker(), Capacity("new"));
  auto running = stepped.Submit(On("new", 1));
  std::optional<StepBatch> batch = stepped.Take();
  auto waiting = stepped.Submit(On("new", 2));
  stepped.engine().RemoveModel("new");
  stepped.AwaitTold();
  for (const auto& listener : {running, waiting}) {
    EXPECT_EQ(listener->status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(listener->status().message()), HasSubstr("model new was removed"));
  }
  stepped.Finish(*std::move(batch));
  stepped.engine().RemoveModel("new");
  stepped.engine().RemoveModel("never there");
  auto other = stepped.Submit(On("model", 3));
  stepped.StepAll();
  EXPECT_TRUE(other->status().ok());
}

TEST(EngineModels, ARemovedOneIsForgottenWithAWorkerThatHangs) {
  SteppedEngine stepped;
  stepped.engine().AddModel(stepped.worker(), Capacity("new"));
  auto running = stepped.Submit(On("new", 1));
  std::optional<StepBatch> batch = stepped.Take();
  stepped.engine().RemoveModel("new");
  stepped.engine().AbandonWorker(stepped.worker(), absl::InternalError("hangs"));
  stepped.AwaitTold();
  EXPECT_EQ(running->status().code(), absl::StatusCode::kUnavailable);
  stepped.Finish(*std::move(batch));  // Comes back after all, and is dropped.
}

TEST(EngineModels, AnHeirPredictsByWhatWasMeasured) {
  SteppedEngine stepped;
  stepped.Submit(On("model", 1));
  std::optional<StepBatch> batch = stepped.Take();
  stepped.clock().Advance(absl::Seconds(1));
  stepped.Finish(*std::move(batch));
  stepped.StepAll();
  for (const char* name : {"stranger", "heir"}) {
    stepped.engine().AddModel(stepped.worker(), Capacity(name));
  }
  stepped.engine().InheritPace("heir", "model");
  stepped.engine().InheritPace("heir", "never there");
  const auto submit = [&stepped](const std::string& model) {
    GenerationSpec spec = On(model, 2);
    spec.deadline = stepped.clock().Now() + absl::Milliseconds(100);
    return stepped.engine().Submit(std::move(spec), std::make_shared<RecordingListener>());
  };
  EXPECT_TRUE(submit("stranger").ok()) << "nothing is known of it";
  EXPECT_EQ(submit("heir").status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(ModelKeys, NameAModelAndOneLoadOfOneVersion) {
  EXPECT_EQ(ModelKey("mine", 0, 0), "mine");
  EXPECT_EQ(ModelKey("mine", 3, 0), "mine/3");
  EXPECT_EQ(ModelKey("mine", 3, 2), "mine/3~2");
  EXPECT_EQ(ModelKey("mine", 0, 1), "mine~1");
}

}  // namespace
}  // namespace diffusiond
