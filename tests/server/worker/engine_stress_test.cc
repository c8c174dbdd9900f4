// Workers, clients, faults and cancellations, all at once. What must hold in any order of events:
// every accepted generation ends exactly once, every register is given back, and every image that
// was finished is the one that its spec gives alone.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "server/worker/worker_supervisor.h"
#include "tests/testing/executor_builder.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/recording_listener.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

constexpr uint64_t kPoisonedSeed = 666;

class Random {
 public:
  explicit Random(int seed) : engine_(seed) {}
  int Draw(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool OneIn(int n) { return Draw(1, n) == 1; }

 private:
  std::mt19937 engine_;
};

struct Submitted {
  GenerationSpec spec;
  std::shared_ptr<RecordingListener> listener;
};

GenerationSpec RandomSpec(Random& random) {
  const int steps = random.Draw(1, 25);
  const int kind = random.Draw(0, 2);
  auto plan = kind == 0   ? HalvingPlan(steps)
              : kind == 1 ? NoisyPlan(steps)
                          : TwoEvaluationPlan(steps);
  const uint64_t seed = random.OneIn(6) ? kPoisonedSeed : random.Draw(1000, 2'000'000);
  GenerationSpec spec = Images(random.Draw(1, 6), seed, plan);
  spec.model = random.OneIn(3) ? "b" : "a";
  spec.preview_every_steps = random.Draw(0, 3);
  spec.preview_content = PreviewContent::kBoth;
  for (TrajectorySpec& trajectory : spec.trajectories) {
    if (random.OneIn(2)) trajectory.guidance.scale = random.Draw(0, 9);
    trajectory.class_id = random.Draw(0, 9);
  }
  if (random.OneIn(10)) spec.deadline = absl::Now() + absl::Microseconds(random.Draw(1, 3000));
  return spec;
}

// One client thread's work: submits, and cancels some of it at random moments.
std::vector<Submitted> RunClient(Engine& engine, int seed, int requests) {
  Random random(seed);
  std::vector<Submitted> all;
  std::vector<GenerationId> to_cancel;
  for (int i = 0; i < requests; ++i) {
    Submitted submitted;
    submitted.spec = RandomSpec(random);
    // Some clients leave from within a callback, where locks and queues are most easily wrong.
    auto id = std::make_shared<std::atomic<GenerationId>>(0);
    std::function<void(const std::string&)> hook;
    if (random.OneIn(8)) {
      hook = [&engine, id](const std::string& line) {
        if (line == "progress 0 3/9") engine.Cancel(*id, absl::CancelledError("from a callback"));
      };
    }
    submitted.listener = std::make_shared<RecordingListener>(hook);
    absl::StatusOr<GenerationId> accepted = engine.Submit(submitted.spec, submitted.listener);
    if (!accepted.ok()) {
      EXPECT_TRUE(absl::IsResourceExhausted(accepted.status()) ||
                  absl::IsDeadlineExceeded(accepted.status()))
          << accepted.status();
      // Or all requests would be spent while a worker is being built again.
      if (!all.empty()) all.back().listener->AwaitFinished().IgnoreError();
      continue;
    }
    *id = *accepted;
    all.push_back(submitted);
    if (random.OneIn(5)) to_cancel.push_back(*accepted);
    if (random.OneIn(3) && !to_cancel.empty()) {
      engine.Cancel(to_cancel.back(), absl::CancelledError("client left"));
      to_cancel.pop_back();
    }
    if (random.OneIn(4)) all.back().listener->AwaitFinished().IgnoreError();
  }
  return all;
}

FakeExecutor::Options Faulty(int seed, std::shared_ptr<RegisterLedger> ledger) {
  FakeExecutor::Options options;
  options.ledger = std::move(ledger);
  options.task_fault = [](const StepTask& task) {
    return task.spec->seed == kPoisonedSeed && task.plan_row == 4 ? absl::InternalError("NaN")
                                                                  : absl::OkStatus();
  };
  options.step_fault = [random = Random(seed)](absl::Span<const StepTask>) mutable -> absl::Status {
    if (random.OneIn(150)) throw std::string("device lost");
    return random.OneIn(100) ? absl::InternalError("device lost") : absl::OkStatus();
  };
  return options;
}

struct Workers {
  std::unique_ptr<ExecutorBuilder> source;
  std::unique_ptr<WorkerSupervisor> supervisor;
};

// Workers that fail now and then, and are soon back.
Workers StartWorkers(Engine& engine, int workers, const std::vector<std::string>& models,
                     const std::shared_ptr<RegisterLedger>& ledger) {
  const auto seeds = std::make_shared<std::vector<std::atomic<int>>>(workers);
  for (int i = 0; i < workers; ++i) (*seeds)[i] = i;
  auto source =
      std::make_unique<ExecutorBuilder>([models, ledger, seeds](const DeviceSpec& device) {
        StepExecutors executors;
        for (const std::string& model : models) {
          executors[model] =
              std::make_unique<FakeExecutor>(Faulty((*seeds)[device.index] += 100, ledger));
        }
        return executors;
      });
  WorkerSupervisor::Options options;
  options.first_backoff = absl::Milliseconds(1);
  options.longest_backoff = absl::Milliseconds(1);
  auto supervisor =
      WorkerSupervisor::Start(&engine, CpuDevices(workers), source.get(), options).value();
  return {std::move(source), std::move(supervisor)};
}

class EngineStress : public ::testing::TestWithParam<int> {};

TEST_P(EngineStress, EverythingEndsOnceAndNothingLeaks) {
  const int workers = GetParam();
  Engine::Options options;
  options.max_trajectories = 60;
  options.max_resident_trajectories = 20;
  auto engine = Engine::Create(options).value();
  auto ledger = std::make_shared<RegisterLedger>();
  auto running = StartWorkers(*engine, workers, {"a", "b"}, ledger);

  constexpr int kClients = 3, kRequests = 150;
  std::vector<std::vector<Submitted>> submitted(kClients);
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&engine, &submitted, c, workers] {
      submitted[c] = RunClient(*engine, c + 10 * workers, kRequests);
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(engine->Drain(absl::InfiniteFuture()));

  const FakeExecutor alone;
  std::map<absl::StatusCode, int> ends;
  for (const std::vector<Submitted>& client : submitted) {
    for (const Submitted& one : client) {
      EXPECT_EQ(one.listener->finished_calls(), 1);
      const absl::Status status = one.listener->status();
      ++ends[status.code()];
      const std::map<int, Frame> images = one.listener->images();
      if (status.ok()) {
        EXPECT_EQ(images.size(), one.spec.trajectories.size());
      }
      for (const auto& [index, frame] : images) {
        EXPECT_EQ(frame.values, alone.DrawAlone(one.spec.trajectories[index]).values);
      }
    }
  }
  engine->Shutdown();
  running.supervisor.reset();
  EXPECT_GT(ledger->created(), 0);
  EXPECT_EQ(ledger->alive(), 0);
  // The mix reached what it was made to reach.
  EXPECT_GT(ends[absl::StatusCode::kOk], 50);
  EXPECT_GT(ends[absl::StatusCode::kCancelled], 5);
  EXPECT_GT(ends[absl::StatusCode::kInternal], 2);
}

TEST_P(EngineStress, ShutdownInTheMiddleEndsEverythingOnce) {
  auto ledger = std::make_shared<RegisterLedger>();
  for (int round = 0; round < 10; ++round) {
    Engine::Options options;
    auto engine = Engine::Create(options).value();
    auto running = StartWorkers(*engine, GetParam(), {"model"}, ledger);
    std::vector<std::shared_ptr<RecordingListener>> listeners;
    for (int i = 0; i < 20; ++i) {
      listeners.push_back(std::make_shared<RecordingListener>());
      ASSERT_TRUE(engine->Submit(Images(4, i, NoisyPlan(40)), listeners.back()).ok());
    }
    listeners[round]->AwaitFinished().IgnoreError();
    engine->Shutdown();
    running.supervisor.reset();
    for (const auto& listener : listeners) EXPECT_EQ(listener->finished_calls(), 1);
    EXPECT_EQ(ledger->alive(), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Workers, EngineStress, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace diffusiond
