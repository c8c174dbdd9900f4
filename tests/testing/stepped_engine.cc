#include "tests/testing/stepped_engine.h"

#include <utility>

#include "gtest/gtest.h"

namespace diffusiond {

SteppedEngine::SteppedEngine(Options options) : executor_(std::move(options.executor)) {
  for (const std::string& model : options.models) {
    capacities_.push_back({model, executor_.capacity(), executor_.micro_batch()});
  }
  options.engine.now = clock_.AsFunction();
  engine_ = Engine::Create(std::move(options.engine)).value();
  worker_ = engine_->AddWorker(capacities_);
}

SteppedEngine::~SteppedEngine() {
  engine_->Shutdown();
  EXPECT_EQ(executor_.ledger().alive(), 0) << "registers were not given back";
}

std::shared_ptr<RecordingListener> SteppedEngine::Submit(GenerationSpec spec) {
  auto listener = std::make_shared<RecordingListener>();
  absl::StatusOr<GenerationId> id = engine_->Submit(std::move(spec), listener);
  EXPECT_TRUE(id.ok()) << id.status();
  if (id.ok()) last_id_ = *id;
  AwaitTold();
  return listener;
}

void SteppedEngine::Cancel(GenerationId id, absl::Status reason) {
  engine_->Cancel(id, std::move(reason));
  AwaitTold();
}

std::optional<StepBatch> SteppedEngine::Take() {
  std::optional<StepBatch> batch = engine_->TryNextBatch(worker_);
  AwaitTold();
  return batch;
}

void SteppedEngine::Finish(StepBatch batch) {
  const absl::Status status = executor_.Step(absl::MakeSpan(batch.tasks));
  engine_->Complete(std::move(batch), status);
  AwaitTold();
}

std::vector<SeenTask> SteppedEngine::Step() {
  std::optional<StepBatch> batch = Take();
  if (!batch.has_value()) return {};
  std::vector<SeenTask> seen = Seen(batch->tasks);
  Finish(*std::move(batch));
  return seen;
}

int SteppedEngine::StepAll() {
  int batches = 0;
  while (!Step().empty()) ++batches;
  return batches;
}

GenerationSpec Images(int count, uint64_t seed, std::shared_ptr<const SamplingPlan> plan) {
  GenerationSpec spec;
  spec.model = "model";
  for (int i = 0; i < count; ++i) {
    TrajectorySpec& trajectory = spec.trajectories.emplace_back();
    trajectory.plan = plan;
    trajectory.seed = seed;
    trajectory.image_index = i;
  }
  return spec;
}

std::vector<uint64_t> Seeds(const std::vector<SeenTask>& rows) {
  std::vector<uint64_t> seeds;
  for (const SeenTask& task : rows) seeds.push_back(task.seed);
  return seeds;
}

}  // namespace diffusiond
