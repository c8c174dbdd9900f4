// Runs the engine's step batches through a PlanRunner.
#ifndef DIFFUSIOND_SERVER_WORKER_PLAN_STEP_EXECUTOR_H_
#define DIFFUSIOND_SERVER_WORKER_PLAN_STEP_EXECUTOR_H_

#include <algorithm>
#include <cstdint>
#include <memory>

#include "model/sampling/plan_runner.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

// Registers are in host memory, so a trajectory may move to any executor of the same model between
// steps. Thread-compatible.
class PlanStepExecutor : public StepExecutor {
 public:
  // `null_label`: what the network is told for "no class"; ignored by one without classes.
  PlanStepExecutor(std::unique_ptr<PlanRunner> runner, int64_t null_label);

  // At least what a guided trajectory takes, in whole micro-batches.
  int capacity() const override {
    const int least = std::max(runner_->has_classifier() ? kMaxPasses : 2, runner_->capacity());
    const int unit = std::max(1, micro_batch());
    return (least + unit - 1) / unit * unit;
  }
  int micro_batch() const override { return runner_->micro_batch(); }
  absl::Status Step(absl::Span<StepTask> tasks) override;

 private:
  std::unique_ptr<PlanRunner> runner_;
  const int64_t null_label_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_PLAN_STEP_EXECUTOR_H_
