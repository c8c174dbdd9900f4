#include "server/worker/plan_step_executor.h"

#include <span>
#include <utility>
#include <vector>

#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

class HostRegisters : public TrajectoryRegisters {
 public:
  std::vector<float> values;
};

std::span<const float> Before(const StepTask& task) {
  if (task.before == nullptr) return {};
  return static_cast<const HostRegisters&>(*task.before).values;
}

}  // namespace

PlanStepExecutor::PlanStepExecutor(std::unique_ptr<PlanRunner> runner, int64_t null_label)
    : runner_(std::move(runner)), null_label_(null_label) {}

absl::Status PlanStepExecutor::Step(absl::Span<StepTask> tasks) {
  std::vector<PlanTask> plan_tasks;
  plan_tasks.reserve(tasks.size());
  for (const StepTask& task : tasks) {
    const TrajectorySpec& spec = *task.spec;
    plan_tasks.push_back(PlanTask{.plan = spec.plan.get(),
                                  .row = task.plan_row,
                                  .seed = spec.seed,
                                  .image_index = spec.image_index,
                                  .label = spec.class_id.value_or(null_label_),
                                  .null_label = null_label_,
                                  .guidance = spec.guidance,
                                  .start = spec.start.get(),
                                  .before = Before(task),
                                  .after = {},
                                  .clean = {},
                                  .status = {}});
  }
  RETURN_IF_ERROR(runner_->Step(plan_tasks));

  const ImageShape shape = runner_->shape();
  const size_t n = static_cast<size_t>(shape.elements());
  for (size_t i = 0; i < tasks.size(); ++i) {
    StepTask& task = tasks[i];
    PlanTask& plan_task = plan_tasks[i];
    task.status = std::move(plan_task.status);
    if (!task.status.ok()) continue;
    if (task.want_x_t) {
      const auto scale = static_cast<float>(
          plan_task.plan->rows[static_cast<size_t>(plan_task.row)].preview_scale);
      task.x_t = Frame{shape.channels, shape.height, shape.width,
                       std::vector<float>(plan_task.after.begin(),
                                          plan_task.after.begin() + static_cast<ptrdiff_t>(n))};
      for (float& value : task.x_t->values) value *= scale;
    }
    if (task.want_x0_hat) {
      task.x0_hat = Frame{shape.channels, shape.height, shape.width, std::move(plan_task.clean)};
    }
    auto after = std::make_unique<HostRegisters>();
    after->values = std::move(plan_task.after);
    task.after = std::move(after);
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
