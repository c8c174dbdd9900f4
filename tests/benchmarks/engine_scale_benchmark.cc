// What one engine carries: the real engine, with devices that only let a simulated clock pass.
//
//   build/release/bin/engine_scale_benchmark [--quick]
//
// 1, 8 and 64 devices, 10,000 waiting images of mixed lengths, tenants and classes, half of them
// with deadlines that can be met. Utilisation is what the devices were given over what they could
// take, until the last tenth of the work, where there is not enough left for all. Decision and
// admission times are real: one TryNextBatch and one Complete, and one Submit while the devices are
// full.
#include <malloc.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/load/load_report.h"
#include "server/engine/engine.h"
#include "tests/benchmarks/benchmark_run.h"

namespace diffusiond {
namespace {

constexpr int kCapacity = 32;  // Network passes of a device's step batch: one micro-batch.
const absl::Duration kStep = absl::Milliseconds(20);

struct NoRegisters : TrajectoryRegisters {};

class NullListener : public GenerationListener {
 public:
  explicit NullListener(std::atomic<int>* finished) : finished_(finished) {}
  void OnProgress(const StepProgress&) override {}
  void OnPreview(int, int, double, PreviewContent, Frame) override {}
  void OnImage(int, Frame) override {}
  void OnFinished(absl::Status, GenerationTimings) override { ++*finished_; }

 private:
  std::atomic<int>* const finished_;
};

std::shared_ptr<const SamplingPlan> PlanOf(int steps) {
  auto plan = std::make_shared<SamplingPlan>();
  plan->steps = steps;
  plan->rows.resize(static_cast<size_t>(steps));
  for (PlanRow& row : plan->rows) row.ends_step = true;
  return plan;
}

GenerationSpec RandomRequest(std::mt19937& random,
                             const std::vector<std::shared_ptr<const SamplingPlan>>& plans) {
  GenerationSpec spec;
  spec.model = "model";
  spec.tenant = absl::StrCat("tenant ", random() % 50);
  spec.priority = static_cast<Priority>(random() % kPriorities);
  const int count = 1 + static_cast<int>(random() % 4);
  const auto& plan = plans[random() % plans.size()];
  const double guidance = random() % 2 == 0 ? 1 : 3;
  for (int i = 0; i < count; ++i) {
    TrajectorySpec& trajectory = spec.trajectories.emplace_back();
    trajectory.plan = plan;
    trajectory.guidance.scale = guidance;
  }
  return spec;
}

// A step of a device, by the simulated time when it ends.
struct Running {
  absl::Time ends;
  size_t device;
  bool operator>(const Running& other) const { return ends > other.ends; }
};

class Simulation {
 public:
  explicit Simulation(int devices) : batches_(static_cast<size_t>(devices)) {
    Engine::Options options;
    options.max_trajectories = 1'000'000;
    options.max_resident_trajectories = 1'000'000;
    options.now = [this] { return now_; };
    engine_ = Engine::Create(options).value();
    for (int steps : {20, 50, 250}) plans_.push_back(PlanOf(steps));
    for (int i = 0; i < devices; ++i) {
      workers_.push_back(engine_->AddWorker({{"model", kCapacity, kCapacity}}));
    }
  }
  ~Simulation() { engine_->Shutdown(); }

  void Run() {
    const size_t before = mallinfo2().uordblks;
    while (images_ < waiting_) Submit();
    const double bytes = static_cast<double>(mallinfo2().uordblks - before) / images_;
    // More comes while the devices are full, so that utilisation is measured at saturation.
    for (size_t i = 0; i < workers_.size(); ++i) Offer(i);
    const absl::Time begin = now_;
    int64_t rows_at_saturation = 0;
    absl::Time end_of_saturation = begin;
    while (!running_.empty()) {
      const Running done = running_.top();
      running_.pop();
      now_ = done.ends;
      Finish(done.device);
      if (submitted_while_full_ < waiting_ / 5 && steps_ % 4 == 0) {
        Submit();
        ++submitted_while_full_;
      }
      for (size_t i = 0; i < workers_.size(); ++i) Offer(i);
      if (work_left_ > work_total_ / 10) {
        rows_at_saturation = rows_;
        end_of_saturation = now_;
      }
    }
    engine_->AwaitTold();
    const double could = kCapacity * static_cast<double>(workers_.size()) *
                         absl::FDivDuration(end_of_saturation - begin, kStep);
    std::printf("%7zu %8d %9d %12.1f %% %11.1f us %11.1f us %12.1f us %12.0f %14.0f\n",
                workers_.size(), images_, finished_.load(),
                100 * static_cast<double>(rows_at_saturation) / could,
                1e6 * ExactQuantile(decisions_, 0.5), 1e6 * ExactQuantile(decisions_, 0.99),
                1e6 * ExactQuantile(admissions_, 0.99), static_cast<double>(steps_) / busy_, bytes);
  }

 private:
  void Submit() {
    GenerationSpec spec = RandomRequest(random_, plans_);
    images_ += static_cast<int>(spec.trajectories.size());
    for (const TrajectorySpec& trajectory : spec.trajectories) {
      const int64_t work = static_cast<int64_t>(trajectory.plan->rows.size()) *
                           NetworkPasses(trajectory.guidance, trajectory.plan->rows.front());
      work_total_ += work;
      work_left_ += work;
    }
    if (random_() % 2 == 0) spec.deadline = now_ + absl::Hours(10 + random_() % 10);
    auto listener = std::make_shared<NullListener>(&finished_);
    const absl::Time start = absl::Now();
    const auto submitted = engine_->Submit(std::move(spec), std::move(listener));
    if (!submitted.ok()) FailBenchmark(submitted.status().message());
    if (steps_ > 0) admissions_.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  }

  void Offer(size_t device) {
    if (batches_[device].has_value()) return;
    const absl::Time start = absl::Now();
    batches_[device] = engine_->TryNextBatch(workers_[device]);
    const absl::Duration took = absl::Now() - start;
    busy_ += absl::ToDoubleSeconds(took);
    if (!batches_[device].has_value()) return;
    decisions_.push_back(absl::ToDoubleSeconds(took));
    running_.push({now_ + kStep, device});
    for (const StepTask& task : batches_[device]->tasks) rows_ += NetworkPasses(task);
  }

  void Finish(size_t device) {
    StepBatch batch = *std::exchange(batches_[device], std::nullopt);
    for (StepTask& task : batch.tasks) {
      task.after = std::make_unique<NoRegisters>();
      if (task.want_x_t) task.x_t = Frame{1, 1, 1, {0.0f}};
      work_left_ -= NetworkPasses(task);
    }
    const absl::Time start = absl::Now();
    engine_->Complete(std::move(batch), absl::OkStatus());
    const double took = absl::ToDoubleSeconds(absl::Now() - start);
    busy_ += took;
    decisions_.back() += took;
    ++steps_;
  }

  const int waiting_ = FullOrQuick(10'000, 200);
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::mt19937 random_{3};
  std::vector<std::shared_ptr<const SamplingPlan>> plans_;
  std::unique_ptr<Engine> engine_;
  std::vector<WorkerId> workers_;
  std::vector<std::optional<StepBatch>> batches_;  // In each device's hands.
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  std::vector<double> decisions_, admissions_;
  double busy_ = 0;
  std::atomic<int> finished_ = 0;
  int images_ = 0, submitted_while_full_ = 0;
  int64_t steps_ = 0, rows_ = 0, work_total_ = 0, work_left_ = 0;
};

void Run() {
  std::printf(
      "%d images wait, %d rows a step batch; steps of 20, 50 and 250, half of them guided, "
      "50 tenants, three classes, half of the requests with deadlines\n",
      FullOrQuick(10'000, 200), kCapacity);
  std::printf("%7s %8s %9s %14s %14s %14s %15s %12s %14s\n", "devices", "images", "requests",
              "utilisation", "decision p50", "decision p99", "admission p99", "steps/s",
              "bytes/image");
  for (const int devices : {1, 8, 64}) Simulation(devices).Run();
  std::printf("steps/s: what one engine decides, all its devices together, on one core\n");
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::ParseBenchmarkFlags(argc, argv);
  diffusiond::PrintProcessor();
  diffusiond::Run();
  return 0;
}
