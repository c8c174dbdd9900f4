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

std::span<const float> Before(const StepRow& row) {
  if (row.before == nullptr) return {};
  return static_cast<const HostRegisters&>(*row.before).values;
}

}  // namespace

PlanStepExecutor::PlanStepExecutor(std::unique_ptr<PlanRunner> runner, int64_t null_label)
    : runner_(std::move(runner)), null_label_(null_label) {}

absl::Status PlanStepExecutor::Step(absl::Span<StepRow> rows) {
  std::vector<PlanTask> tasks;
  tasks.reserve(rows.size());
  for (StepRow& row : rows) {
    const TrajectorySpec& spec = *row.spec;
    tasks.push_back(PlanTask{.plan = spec.plan.get(),
                             .row = row.plan_row,
                             .seed = spec.seed,
                             .image_index = spec.image_index,
                             .label = spec.class_id.value_or(null_label_),
                             .null_label = null_label_,
                             .guidance = spec.guidance,
                             .start = spec.start.get(),
                             .before = Before(row),
                             .after = {},
                             .clean = {},
                             .status = {}});
  }
  RETURN_IF_ERROR(runner_->Step(tasks));

  const ImageShape shape = runner_->shape();
  const size_t n = static_cast<size_t>(shape.elements());
  for (size_t i = 0; i < rows.size(); ++i) {
    StepRow& row = rows[i];
    PlanTask& task = tasks[i];
    row.status = std::move(task.status);
    if (!row.status.ok()) continue;
    if (row.want_x_t) {
      const auto scale =
          static_cast<float>(task.plan->rows[static_cast<size_t>(task.row)].preview_scale);
      row.x_t = Frame{
          shape.channels, shape.height, shape.width,
          std::vector<float>(task.after.begin(), task.after.begin() + static_cast<ptrdiff_t>(n))};
      for (float& value : row.x_t->values) value *= scale;
    }
    if (row.want_x0_hat) {
      row.x0_hat = Frame{shape.channels, shape.height, shape.width, std::move(task.clean)};
    }
    auto after = std::make_unique<HostRegisters>();
    after->values = std::move(task.after);
    row.after = std::move(after);
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
