#include "server/worker/worker_supervisor.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/executor_builder.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/puppet_executor.h"
#include "tests/testing/recording_listener.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"
#include "tests/testing/watched_time.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// "cpu:0 up", "cpu:0 down", and how many run after each.
class RecordingObserver : public WorkerObserver {
 public:
  void OnWorkerUp(const std::string& worker) override { Add(absl::StrCat(worker, " up")); }
  void OnWorkerDown(const std::string& worker, const absl::Status& reason) override {
    Add(absl::StrCat(worker, " down"));
    absl::MutexLock lock(&mu_);
    reason_ = reason;
  }
  void OnWorkersRunning(int running) override { Add(absl::StrCat("running ", running)); }

  std::vector<std::string> Await(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return log_.size() >= count; };
    mu_.Await(absl::Condition(&enough));
    return log_;
  }
  absl::Status reason() {
    absl::MutexLock lock(&mu_);
    return reason_;
  }

 private:
  void Add(std::string line) {
    absl::MutexLock lock(&mu_);
    log_.push_back(std::move(line));
  }

  absl::Mutex mu_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mu_);
  absl::Status reason_ ABSL_GUARDED_BY(mu_);
};

class WorkerSupervisorTest : public ::testing::Test {
 protected:
  WorkerSupervisorTest() {
    Engine::Options options;
    options.now = clock_.AsFunction();
    engine_ = Engine::Create(options).value();
  }
  ~WorkerSupervisorTest() override {
    for (PuppetExecutor* puppet : puppets_) puppet->ReleaseAll();
    engine_->Shutdown();
    supervisor_.reset();
    ledger_->AwaitNoneAlive();
  }

  // One device, whose executors are those of `builds` in turn; an error is a build that fails.
  void Start(std::deque<absl::StatusOr<StepExecutors>> builds) {
    builds_ = std::move(builds);
    WorkerSupervisor::Options options;
    options.watchdog = absl::Minutes(1);
    options.now = clock_.AsFunction();
    options.observer = &observer_;
    supervisor_ = WorkerSupervisor::Start(engine_.get(), CpuDevices(1), &source_, options).value();
  }

  absl::StatusOr<StepExecutors> NextBuild() {
    absl::StatusOr<StepExecutors> next = std::move(builds_.front());
    builds_.pop_front();
    return next;
  }

  static StepExecutors Of(std::unique_ptr<StepExecutor> executor) {
    StepExecutors executors;
    executors["model"] = std::move(executor);
    return executors;
  }

  FakeExecutor::Options Options() const {
    FakeExecutor::Options options;
    options.ledger = ledger_;
    return options;
  }
  StepExecutors Healthy() const { return Of(std::make_unique<FakeExecutor>(Options())); }
  StepExecutors FailsAlways() const {
    FakeExecutor::Options options = Options();
    options.step_fault = [](absl::Span<const StepTask>) {
      return absl::InternalError("device lost");
    };
    return Of(std::make_unique<FakeExecutor>(options));
  }
  // Hangs until the end of the test.
  StepExecutors Hangs() {
    auto puppet = std::make_unique<PuppetExecutor>(Options());
    puppets_.push_back(puppet.get());
    return Of(std::move(puppet));
  }

  std::shared_ptr<RecordingListener> Submit(GenerationSpec spec) {
    auto listener = std::make_shared<RecordingListener>();
    EXPECT_TRUE(engine_->Submit(std::move(spec), listener).ok());
    return listener;
  }

  // A minute and a bit without a step's end.
  void HangFor(PuppetExecutor* puppet) {
    puppet->AwaitStep();
    PassWatched(absl::Seconds(61), clock_, *supervisor_);
  }

  static std::deque<absl::StatusOr<StepExecutors>> Builds() { return {}; }

  FakeClock clock_;
  RecordingObserver observer_;
  std::shared_ptr<RegisterLedger> ledger_ = std::make_shared<RegisterLedger>();
  std::vector<PuppetExecutor*> puppets_;
  std::deque<absl::StatusOr<StepExecutors>> builds_;
  ExecutorBuilder source_{[this](const DeviceSpec&) { return NextBuild(); }};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<WorkerSupervisor> supervisor_;
};

TEST_F(WorkerSupervisorTest, BuildsAFailedWorkerAgainAfterABackOff) {
  auto builds = Builds();
  builds.push_back(FailsAlways());
  builds.push_back(Healthy());
  Start(std::move(builds));
  const GenerationSpec spec = Images(2, 1, NoisyPlan(5));
  auto listener = Submit(spec);
  EXPECT_THAT(observer_.Await(4), ElementsAre("cpu:0 up", "running 1", "cpu:0 down", "running 0"));
  EXPECT_EQ(observer_.reason(), absl::InternalError("device lost"));
  clock_.Advance(absl::Milliseconds(900));
  supervisor_->Check();
  EXPECT_EQ(supervisor_->running(), 0) << "not before a second has passed";
  clock_.Advance(absl::Milliseconds(100));
  supervisor_->Check();
  EXPECT_EQ(supervisor_->running(), 1);
  ASSERT_TRUE(listener->AwaitFinished().ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(listener->images().at(i).values,
              FakeExecutor().DrawAlone(spec.trajectories[i]).values);
  }
}

TEST_F(WorkerSupervisorTest, TakesOutAWorkerThatHangsAndItsRowsGoOnElsewhere) {
  auto builds = Builds();
  builds.push_back(Hangs());
  builds.push_back(Healthy());
  Start(std::move(builds));
  const GenerationSpec spec = Images(2, 1, NoisyPlan(5));
  auto listener = Submit(spec);
  puppets_[0]->AwaitStep();
  puppets_[0]->Release();
  puppets_[0]->AwaitStep();
  PassWatched(absl::Seconds(60), clock_, *supervisor_);
  EXPECT_EQ(supervisor_->running(), 1) << "slow, but within the watchdog's time";
  clock_.Advance(absl::Seconds(1));
  supervisor_->Check();
  EXPECT_EQ(supervisor_->running(), 0);
  EXPECT_EQ(supervisor_->hung_threads(), 1);
  EXPECT_THAT(std::string(observer_.reason().message()),
              testing::EndsWith("longer than --worker_watchdog, 1m"));
  clock_.Advance(absl::Seconds(1));
  supervisor_->Check();
  ASSERT_TRUE(listener->AwaitFinished().ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(listener->images().at(i).values,
              FakeExecutor().DrawAlone(spec.trajectories[i]).values);
  }
}

TEST_F(WorkerSupervisorTest, AMachineThatStoodStillIsNoHang) {
  auto builds = Builds();
  builds.push_back(Hangs());
  Start(std::move(builds));
  auto listener = Submit(Images(1, 1, HalvingPlan(1)));
  puppets_[0]->AwaitStep();
  clock_.Advance(absl::Hours(8));  // A laptop's lid.
  supervisor_->Check();
  PassWatched(absl::Seconds(60), clock_, *supervisor_);
  EXPECT_EQ(supervisor_->running(), 1);
  PassWatched(absl::Seconds(1), clock_, *supervisor_);
  EXPECT_EQ(supervisor_->running(), 0) << "it hangs all the same";
}

TEST_F(WorkerSupervisorTest, TriesAgainWithDoublingPausesWhileBuildingFails) {
  auto builds = Builds();
  builds.push_back(FailsAlways());
  builds.push_back(absl::UnavailableError("no device"));
  builds.push_back(absl::UnavailableError("no device"));
  builds.push_back(Healthy());
  Start(std::move(builds));
  clock_.Advance(absl::Hours(1));  // It ran for long; what could not be built has not.
  auto listener = Submit(Images(1, 1, HalvingPlan(3)));
  size_t lines = observer_.Await(4).size();
  for (const int pause : {1, 2}) {
    clock_.Advance(absl::Seconds(pause));
    supervisor_->Check();
    lines += 2;
    EXPECT_THAT(observer_.Await(lines).back(), "running 0");
  }
  clock_.Advance(absl::Seconds(3));
  supervisor_->Check();
  EXPECT_EQ(supervisor_->running(), 0) << "the third pause is four seconds";
  clock_.Advance(absl::Seconds(1));
  supervisor_->Check();
  EXPECT_TRUE(listener->AwaitFinished().ok());
}

TEST_F(WorkerSupervisorTest, GivesADeviceUpThatHangsAgainAndAgain) {
  auto builds = Builds();
  for (int i = 0; i < 3; ++i) builds.push_back(Hangs());
  Start(std::move(builds));
  auto listener = Submit(Images(1, 1, HalvingPlan(3)));
  for (int i = 0; i < 3; ++i) {
    HangFor(puppets_[i]);
    PassWatched(absl::Seconds(10), clock_, *supervisor_);
  }
  EXPECT_EQ(supervisor_->running(), 0);
  EXPECT_EQ(supervisor_->hung_threads(), 3);
  EXPECT_THAT(std::string(observer_.reason().message()),
              HasSubstr("; it hung 3 times and is not built again: restart the server"));
  // An image that was at hand each time may be the cause, and is given up too.
  EXPECT_EQ(listener->AwaitFinished().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(listener->status().message()),
              HasSubstr("seed 1: a step failed 3 times"));
}

TEST_F(WorkerSupervisorTest, StopsWithAWorkerThatHangs) {
  auto builds = Builds();
  builds.push_back(Hangs());
  Start(std::move(builds));
  auto listener = Submit(Images(1, 1, HalvingPlan(3)));
  puppets_[0]->AwaitStep();
  clock_.Advance(absl::Minutes(2));
  engine_->Shutdown();
  EXPECT_EQ(supervisor_->Stop(), 1);
  supervisor_.reset();
  EXPECT_EQ(listener->status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace diffusiond
