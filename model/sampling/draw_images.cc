#include "model/sampling/draw_images.h"

#include <algorithm>
#include <utility>

#include "model/status/status_macros.h"

namespace diffusiond {

absl::StatusOr<std::vector<Frame>> DrawImages(const SamplingPlan& plan, const DrawSpec& spec,
                                              std::span<const int64_t> labels, PlanRunner* runner) {
  const ImageShape shape = runner->shape();
  std::vector<std::vector<float>> registers(labels.size());
  std::vector<PlanTask> tasks(labels.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    tasks[i] = PlanTask{.plan = &plan,
                        .seed = spec.seed,
                        .image_index = static_cast<uint32_t>(i),
                        .label = labels[i],
                        .null_label = spec.null_label,
                        .guidance = spec.guidance,
                        .before = {},
                        .after = {},
                        .clean = {},
                        .status = {}};
  }
  // A step batch at a time, so that memory does not grow with the number of images.
  const int rows_each =
      1 + (spec.guidance.scale != 1 ? 1 : 0) + (spec.guidance.classifier_scale != 0 ? 1 : 0);
  const size_t group = static_cast<size_t>(std::max(1, runner->capacity() / rows_each));
  std::vector<Frame> frames;
  for (size_t begin = 0; begin < tasks.size(); begin += group) {
    const std::span<PlanTask> now =
        std::span(tasks).subspan(begin, std::min(group, tasks.size() - begin));
    for (size_t row = 0; row < plan.rows.size(); ++row) {
      for (size_t i = 0; i < now.size(); ++i) {
        now[i].row = static_cast<int>(row);
        std::swap(registers[begin + i], now[i].after);
        now[i].before = registers[begin + i];
      }
      RETURN_IF_ERROR(runner->Step(now));
      for (const PlanTask& task : now) {
        if (!task.status.ok()) return task.status;
      }
    }
    for (PlanTask& task : now) {
      task.after.resize(static_cast<size_t>(shape.elements()));
      frames.push_back({shape.channels, shape.height, shape.width, std::move(task.after)});
      task.clean = {};
    }
    for (size_t i = 0; i < now.size(); ++i) registers[begin + i] = {};
  }
  return frames;
}

}  // namespace diffusiond
