#include "server/worker/device_worker.h"

#include <pthread.h>

#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/puppet_executor.h"
#include "tests/testing/recording_listener.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class DeviceWorkerTest : public ::testing::Test {
 protected:
  ~DeviceWorkerTest() override {
    engine_->Shutdown();
    workers_.clear();
  }

  void StartWorker(std::unique_ptr<StepExecutor> executor, const std::string& device = "cpu") {
    StepExecutors executors;
    executors["model"] = std::move(executor);
    DeviceWorker::Options options;
    options.on_failure = [this](const absl::Status& status) {
      absl::MutexLock lock(&mu_);
      failures_.push_back(status);
    };
    auto worker = DeviceWorker::Start(device, engine_.get(), std::move(executors), options);
    ASSERT_TRUE(worker.ok()) << worker.status();
    workers_.push_back(*std::move(worker));
  }

  PuppetExecutor* StartPuppet(FakeExecutor::Options options = {}) {
    auto puppet = std::make_unique<PuppetExecutor>(std::move(options));
    PuppetExecutor* strings = puppet.get();
    StartWorker(std::move(puppet));
    return strings;
  }

  std::pair<GenerationId, std::shared_ptr<RecordingListener>> Submit(GenerationSpec spec) {
    auto listener = std::make_shared<RecordingListener>();
    return {engine_->Submit(std::move(spec), listener).value(), listener};
  }

  std::vector<absl::Status> AwaitFailures(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return failures_.size() >= count;
    };
    mu_.Await(absl::Condition(&enough));
    return failures_;
  }

  absl::Mutex mu_;
  std::vector<absl::Status> failures_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Engine> engine_ = Engine::Create({}).value();
  std::vector<std::unique_ptr<DeviceWorker>> workers_;
};

TEST_F(DeviceWorkerTest, RefusesExecutorsThatCouldNotRunEverything) {
  const auto refusal = [this](std::unique_ptr<StepExecutor> executor) {
    StepExecutors executors;
    executors["m"] = std::move(executor);
    return std::string(
        DeviceWorker::Start("cpu", engine_.get(), std::move(executors), {}).status().message());
  };
  const auto fake = [](int capacity, int micro_batch) {
    FakeExecutor::Options options;
    options.capacity = capacity;
    options.micro_batch = micro_batch;
    return std::make_unique<FakeExecutor>(options);
  };
  EXPECT_THAT(refusal(nullptr), HasSubstr("executors[m]: null"));
  EXPECT_THAT(refusal(fake(1, 1)), HasSubstr("capacity 1 at micro-batch 1"));
  EXPECT_THAT(refusal(fake(6, 4)), HasSubstr("capacity 6 at micro-batch 4"));
}

TEST_F(DeviceWorkerTest, StartsWithoutAModelAndDrawsWithTheFirstThatComes) {
  auto worker = DeviceWorker::Start("cpu", engine_.get(), {}, {});
  ASSERT_TRUE(worker.ok()) << worker.status();
  workers_.push_back(*std::move(worker));
  const auto [id, listener] = Submit(Images(1, 7, HalvingPlan(3)));
  ASSERT_TRUE(workers_[0]->AddModel("model", std::make_unique<FakeExecutor>()).ok());
  EXPECT_TRUE(listener->AwaitFinished().ok()) << listener->status();
}

TEST_F(DeviceWorkerTest, DrawsWhatIsSubmitted) {
  auto executor = std::make_unique<FakeExecutor>();
  const FakeExecutor alone;
  StartWorker(std::move(executor));
  const GenerationSpec spec = Images(20, 3, NoisyPlan(12));
  auto [id, listener] = Submit(spec);
  ASSERT_TRUE(listener->AwaitFinished().ok());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(listener->images().at(i).values, alone.DrawAlone(spec.trajectories[i]).values);
  }
}

TEST_F(DeviceWorkerTest, ARequestThatArrivesDuringAStepJoinsTheNext) {
  PuppetExecutor* puppet = StartPuppet();
  auto [first_id, first] = Submit(Images(1, 1, HalvingPlan(5)));
  EXPECT_THAT(Seeds(puppet->AwaitStep()), ElementsAre(1));
  auto [second_id, second] = Submit(Images(2, 2, HalvingPlan(5)));
  puppet->Release();
  EXPECT_THAT(Seeds(puppet->AwaitStep()), UnorderedElementsAre(1, 2, 2));
  puppet->ReleaseAll();
  EXPECT_TRUE(first->AwaitFinished().ok());
  EXPECT_TRUE(second->AwaitFinished().ok());
}

TEST_F(DeviceWorkerTest, ACancelDuringAStepIsHeardAtOnceAndFreesRowsForTheNext) {
  FakeExecutor::Options options;
  options.ledger = std::make_shared<RegisterLedger>();
  PuppetExecutor* puppet = StartPuppet(options);
  auto [staying_id, staying] = Submit(Images(1, 1, HalvingPlan(5)));
  puppet->AwaitStep();
  auto [leaving_id, leaving] = Submit(Images(3, 2, HalvingPlan(5)));
  puppet->Release();
  puppet->AwaitStep();
  engine_->Cancel(leaving_id, absl::CancelledError("client left"));
  EXPECT_EQ(leaving->AwaitFinished(), absl::CancelledError("client left"));
  puppet->Release();
  EXPECT_THAT(Seeds(puppet->AwaitStep()), ElementsAre(1));
  EXPECT_EQ(options.ledger->alive(), 1);
  puppet->ReleaseAll();
  EXPECT_TRUE(staying->AwaitFinished().ok());
}

TEST_F(DeviceWorkerTest, TwoWorkersShareAGeneration) {
  FakeExecutor::Options options;
  options.capacity = 2;
  options.micro_batch = 2;
  PuppetExecutor* first = StartPuppet(options);
  PuppetExecutor* second = StartPuppet(options);
  auto [id, listener] = Submit(Images(4, 1, HalvingPlan(3)));
  // Both are at it at the same time, on different images.
  std::vector<uint32_t> images;
  for (PuppetExecutor* puppet : {first, second}) {
    for (const SeenTask& task : puppet->AwaitStep()) images.push_back(task.image_index);
  }
  EXPECT_THAT(images, UnorderedElementsAre(0, 1, 2, 3));
  first->ReleaseAll();
  second->ReleaseAll();
  EXPECT_TRUE(listener->AwaitFinished().ok());
  EXPECT_EQ(listener->images().size(), 4u);
}

TEST_F(DeviceWorkerTest, AStoppedWorkersRowsGoOnElsewhere) {
  FakeExecutor::Options options;
  PuppetExecutor* puppet = StartPuppet(options);
  const GenerationSpec spec = Images(2, 1, NoisyPlan(6));
  auto [id, listener] = Submit(spec);
  puppet->AwaitStep();
  puppet->Release();
  puppet->AwaitStep();
  puppet->ReleaseAll();
  workers_.front()->Stop();
  workers_.front()->Stop();
  workers_.clear();

  StartWorker(std::make_unique<FakeExecutor>());
  ASSERT_TRUE(listener->AwaitFinished().ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(listener->images().at(i).values,
              FakeExecutor().DrawAlone(spec.trajectories[i]).values);
  }
}

TEST_F(DeviceWorkerTest, AStepThatThrowsEndsTheWorkerAndItsRowsGoOnElsewhere) {
  FakeExecutor::Options options;
  options.step_fault = [step = 0](absl::Span<const StepTask>) mutable -> absl::Status {
    if (step++ == 1) throw std::runtime_error("device lost");
    return absl::OkStatus();
  };
  StartWorker(std::make_unique<FakeExecutor>(options));
  const GenerationSpec spec = Images(1, 1, NoisyPlan(4));
  auto [id, listener] = Submit(spec);
  EXPECT_THAT(AwaitFailures(1), ElementsAre(absl::InternalError("the step threw: device lost")));
  StartWorker(std::make_unique<FakeExecutor>());
  ASSERT_TRUE(listener->AwaitFinished().ok());
  EXPECT_EQ(listener->images().at(0).values, FakeExecutor().DrawAlone(spec.trajectories[0]).values);
}

TEST_F(DeviceWorkerTest, WhatAStepMayThrowHasAName) {
  const std::vector<std::pair<std::function<void()>, absl::Status>> cases = {
      {[] { throw std::bad_alloc(); }, absl::ResourceExhaustedError("the step ran out of memory")},
      {[] { throw 42; }, absl::InternalError("the step threw something that is no std::exception")},
  };
  auto [id, listener] = Submit(Images(1, 1, HalvingPlan(4)));
  for (size_t i = 0; i < cases.size(); ++i) {
    FakeExecutor::Options options;
    options.step_fault = [&cases, i](absl::Span<const StepTask>) -> absl::Status {
      cases[i].first();
      return absl::OkStatus();
    };
    StartWorker(std::make_unique<FakeExecutor>(options));
    EXPECT_EQ(AwaitFailures(i + 1)[i], cases[i].second);
  }
}

TEST_F(DeviceWorkerTest, AnAbandonedStepIsDroppedWhenItEndsAfterAll) {
  FakeExecutor::Options options;
  options.ledger = std::make_shared<RegisterLedger>();
  PuppetExecutor* puppet = StartPuppet(options);
  const GenerationSpec spec = Images(1, 1, NoisyPlan(4));
  auto [id, listener] = Submit(spec);
  puppet->AwaitStep();
  EXPECT_TRUE(workers_[0]->step_began().has_value());
  ASSERT_TRUE(workers_[0]->Abandon(absl::InternalError("hangs")));
  EXPECT_FALSE(workers_[0]->Abandon(absl::InternalError("hangs"))) << "once";
  StartWorker(std::make_unique<FakeExecutor>());
  ASSERT_TRUE(listener->AwaitFinished().ok());
  EXPECT_EQ(listener->images().at(0).values, FakeExecutor().DrawAlone(spec.trajectories[0]).values);
  puppet->ReleaseAll();
  // The thread ends by itself, and with it what it made.
  options.ledger->AwaitCreated(1);
  options.ledger->AwaitNoneAlive();
}

TEST_F(DeviceWorkerTest, AnIdleWorkerKeepsDeadlines) {
  StartWorker(std::make_unique<FakeExecutor>());
  GenerationSpec nobodys = Images(1, 1, HalvingPlan(4));
  nobodys.model = "served by no worker";
  nobodys.deadline = absl::Now() + absl::Milliseconds(20);
  auto [id, listener] = Submit(nobodys);
  EXPECT_EQ(listener->AwaitFinished().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(DeviceWorkerTest, ItsThreadBearsTheDevicesName) {
  std::string name;
  FakeExecutor::Options options;
  options.step_fault = [&name](absl::Span<const StepTask>) {
    char buffer[16];
    pthread_getname_np(pthread_self(), buffer, sizeof(buffer));
    name = buffer;
    return absl::OkStatus();
  };
  StartWorker(std::make_unique<FakeExecutor>(options), "cuda:0 of a long-named host");
  auto [id, listener] = Submit(Images(1, 1, HalvingPlan(1)));
  ASSERT_TRUE(listener->AwaitFinished().ok());
  EXPECT_EQ(name, "step cuda:0 of ");
}

}  // namespace
}  // namespace diffusiond
