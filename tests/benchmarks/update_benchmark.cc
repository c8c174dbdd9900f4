// What a step costs beside the network, and what a plan costs before the first step.
//
// First: PlanRunner's steps of a batch with every sampler, half of them guided, one in three with
// dynamic thresholding, and options under which every sampler that can draws noise. Update is all
// of a step but the network's calls: gathering, noise, guidance, the matrix product. On one thread,
// in that thread's CPU time, so that a busy machine does not show. The shipped network, and the
// DDPM paper's network for CIFAR-10, untrained.
//
// Second: compiling plans of 1,000 steps of the DDPM paper's schedule, the best of several, and
// fetching them from PlanCache.
//
//   build/dev/bin/update_benchmark [--quick] [CHECKPOINT]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/cpu_network/cpu_denoiser.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/row_noise.h"
#include "model/sampling/sampler.h"
#include "server/models/plan_cache.h"
#include "tests/benchmarks/benchmark_run.h"
#include "tests/benchmarks/measured_networks.h"

namespace diffusiond {
namespace {

constexpr int kSteps = 50;  // Of the plans in the batch; only the first few are run.

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Adds up what its network takes.
class TimedDenoiser : public Denoiser {
 public:
  TimedDenoiser(std::unique_ptr<Denoiser> network, double* seconds)
      : network_(std::move(network)), seconds_(seconds) {}

  ImageShape shape() const override { return network_->shape(); }
  int micro_batch() const override { return network_->micro_batch(); }
  int capacity() const override { return network_->capacity(); }
  int output_channels() const override { return network_->output_channels(); }
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override {
    const double start = ThreadSeconds();
    absl::Status status = network_->Predict(x, timesteps, labels, f);
    *seconds_ += ThreadSeconds() - start;
    return status;
  }

 private:
  std::unique_ptr<Denoiser> network_;
  double* const seconds_;
};

// One of each sampler.
absl::StatusOr<std::vector<SamplingPlan>> MixedPlans(const ModelSchedule& model) {
  std::vector<SamplingPlan> plans;
  for (const Sampler& sampler : Samplers()) {
    SamplingOptions options;
    options.sampler = sampler.name;
    options.steps = kSteps;
    options.eta = 1;
    options.s_churn = 10;
    options.algorithm_type = DpmAlgorithm::kSde;
    options.thresholding = plans.size() % 3 == 0;
    absl::StatusOr<SamplingPlan> plan = CompilePlan(sampler, model, options);
    if (!plan.ok()) return plan.status();
    plans.push_back(*std::move(plan));
  }
  return plans;
}

absl::Status MeasureSteps(const std::string& name, const ModelSchedule& model,
                          std::shared_ptr<const CpuUNet> network, int steps) {
  absl::StatusOr<std::vector<SamplingPlan>> plans = MixedPlans(model);
  if (!plans.ok()) return plans.status();
  double network_seconds = 0, step_seconds = 0, noise_seconds = 0;
  auto pool = std::make_shared<LanePool>(1);
  auto denoiser = std::make_unique<TimedDenoiser>(
      std::make_unique<CpuDenoiser>(std::move(network), pool), &network_seconds);
  auto runner = PlanRunner::Create(std::move(denoiser), std::move(pool));
  if (!runner.ok()) return runner.status();

  std::vector<PlanTask> tasks(plans->size());
  std::vector<std::vector<float>> registers(tasks.size());
  std::vector<float> z(static_cast<size_t>((*runner)->shape().elements()));
  int passes = 0;
  for (int step = 0; step <= steps; ++step) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      registers[i] = std::move(tasks[i].after);
      tasks[i] = {};
      tasks[i].plan = &(*plans)[i];
      tasks[i].row = step;
      tasks[i].seed = i;
      tasks[i].guidance.scale = i % 2 == 0 ? 1.5 : 1;
      tasks[i].before = registers[i];
    }
    // The first step warms up.
    if (step == 1) network_seconds = 0;
    const double start = ThreadSeconds();
    if (absl::Status status = (*runner)->Step(tasks); !status.ok()) return status;
    if (step == 0) continue;
    step_seconds += ThreadSeconds() - start;
    for (const PlanTask& task : tasks) {
      if (!task.status.ok()) return task.status;
      passes += NetworkPasses(task.guidance, RowOf(task));
      if (!task.plan->rows[static_cast<size_t>(step)].draws_noise) continue;
      const double noise_start = ThreadSeconds();
      FillRowNoise(task.seed, 0, static_cast<uint32_t>(step), z);
      noise_seconds += ThreadSeconds() - noise_start;
    }
  }
  const double images = static_cast<double>(tasks.size()) * steps;
  const double update_seconds = step_seconds - network_seconds;
  const ImageShape shape = (*runner)->shape();
  std::printf("%-32s %dx%dx%d %7.2f ms %10.1f us %8.1f us %12.3f %%\n", name.c_str(),
              shape.channels, shape.height, shape.width, 1e3 * network_seconds / passes,
              1e6 * update_seconds / images, 1e6 * noise_seconds / images,
              100 * update_seconds / network_seconds);
  std::fflush(stdout);
  return absl::OkStatus();
}

absl::Status MeasurePlans(const ModelSchedule& model) {
  const int rounds = FullOrQuick(20, 1);
  std::printf("\n%-28s %8s %10s %14s %12s\n", "plans of 1,000 steps", "rows", "registers",
              "compiled in", "from cache");
  for (const Sampler& sampler : Samplers()) {
    SamplingOptions options;
    options.sampler = sampler.name;
    options.steps = 1000;
    options.timestep_spacing =
        TimestepSpacing::kTrailing;  // All samplers take it with as many steps.
    options.skip_prk_steps = true;
    const PlanCompiler compile = [&](const SamplingOptions& o) { return CompilePlan(model, o); };
    PlanCache cache(compile);
    if (auto plan = cache.Get(options); !plan.ok()) return plan.status();
    double compiled = std::numeric_limits<double>::infinity(), cached = compiled;
    int rows = 0, registers = 0;
    for (int round = 0; round < rounds; ++round) {
      double start = ThreadSeconds();
      const absl::StatusOr<SamplingPlan> plan = compile(options);
      compiled = std::min(compiled, ThreadSeconds() - start);
      rows = static_cast<int>(plan->rows.size());
      registers = plan->registers;
      start = ThreadSeconds();
      (void)cache.Get(options);
      cached = std::min(cached, ThreadSeconds() - start);
    }
    std::printf("  %-26s %8d %10d %11.3f ms %9.2f us\n", sampler.name.c_str(), rows, registers,
                1e3 * compiled, 1e6 * cached);
  }
  return absl::OkStatus();
}

absl::Status Run(const std::string& directory) {
  absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  const absl::StatusOr<MeasuredNetwork> network = CheckpointNetwork(directory);
  if (!network.ok()) return network.status();
  const auto model = MakeModelSchedule(checkpoint->config().scheduler);
  if (!model.ok()) return model.status();
  const auto ddpm = MakeModelSchedule(SchedulerConfig());
  if (!ddpm.ok()) return ddpm.status();

  std::printf("%zu samplers in one batch\n", Samplers().size());
  std::printf("%-39s %11s %13s %11s %14s\n", "", "network/row", "update/image", "of it noise",
              "update/network");
  absl::Status status = MeasureSteps(directory, *model, network->ours, FullOrQuick(20, 1));
  if (status.ok()) {
    status = MeasureSteps("untrained, width 128", *ddpm, UntrainedCifarNetwork().ours, 1);
  }
  if (status.ok()) status = MeasurePlans(*ddpm);
  return status;
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  const std::vector<std::string> arguments = diffusiond::ParseBenchmarkFlags(argc, argv);
  diffusiond::PrintProcessor();
  const absl::Status status =
      diffusiond::Run(arguments.empty() ? "model/checkpoints/fashion-mnist" : arguments.front());
  if (!status.ok()) diffusiond::FailBenchmark(status.message());
  return 0;
}
