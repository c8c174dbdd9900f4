#include "model/sampling/plan_runner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/row_noise.h"

namespace diffusiond {

// Everything one step sends to and gets from the network, padded to whole micro-batches.
struct PlanRunner::Buffers {
  int micro_batches = 0;
  std::vector<float> x, f;
  std::vector<float> timesteps;
  std::vector<int64_t> labels;
};

absl::StatusOr<std::unique_ptr<PlanRunner>> PlanRunner::Create(
    std::vector<std::unique_ptr<Denoiser>> lanes) {
  if (lanes.empty()) return absl::InvalidArgumentError("a plan runner needs a denoiser");
  for (const auto& lane : lanes) {
    if (!(lane->shape() == lanes[0]->shape()) || lane->rows() != lanes[0]->rows() ||
        lane->output_channels() != lanes[0]->output_channels()) {
      return absl::InvalidArgumentError("the denoisers of a plan runner differ in shape or rows");
    }
    const int channels = lane->shape().channels, outputs = lane->output_channels();
    if (outputs != channels && outputs != 2 * channels) {
      return absl::InvalidArgumentError(absl::StrCat("the network gives ", outputs,
                                                     " channels for images of ", channels,
                                                     "; expected as many or twice as many"));
    }
  }
  return std::unique_ptr<PlanRunner>(new PlanRunner(std::move(lanes)));
}

PlanRunner::PlanRunner(std::vector<std::unique_ptr<Denoiser>> lanes)
    : lanes_(std::move(lanes)), pool_(static_cast<int>(lanes_.size())) {}

size_t PlanRunner::output_size() const {
  const size_t copies = static_cast<size_t>(lanes_.front()->output_channels() / shape().channels);
  return copies * static_cast<size_t>(shape().elements());
}

void PlanRunner::Gather(std::span<PlanTask> tasks, Buffers* buffers) const {
  const size_t n = static_cast<size_t>(shape().elements());
  size_t rows = 0;
  for (const PlanTask& task : tasks) {
    rows += static_cast<size_t>(NetworkRows(task));
  }
  const size_t micro_batch = static_cast<size_t>(this->micro_batch());
  buffers->micro_batches = static_cast<int>((rows + micro_batch - 1) / micro_batch);
  const size_t padded = static_cast<size_t>(buffers->micro_batches) * micro_batch;
  buffers->x.resize(padded * n);
  buffers->f.resize(padded * output_size());
  buffers->timesteps.resize(padded);
  buffers->labels.resize(padded);

  size_t at = 0;
  for (PlanTask& task : tasks) {
    const PlanRow& row = task.plan->rows[static_cast<size_t>(task.row)];
    std::vector<float>& registers = task.after;
    registers.assign(task.before.begin(), task.before.end());
    registers.resize(static_cast<size_t>(task.plan->registers) * n);
    const std::span<float> x(registers.data(), n);
    const NoiseKey key = {task.seed, task.image_index};
    if (task.before.empty()) Begin(task.start, *task.plan, key, x);
    Keep(task.start, *task.plan, task.row, key, x);
    const float c_in = static_cast<float>(row.c_in);
    for (int copy = 0; copy < NetworkRows(task); ++copy, ++at) {
      std::transform(registers.begin(), registers.begin() + static_cast<ptrdiff_t>(n),
                     buffers->x.begin() + static_cast<ptrdiff_t>(at * n),
                     [c_in](float x) { return c_in * x; });
      buffers->timesteps[at] = static_cast<float>(row.timestep);
      buffers->labels[at] = copy == 0 ? task.label : task.null_label;
    }
  }
}

absl::Status PlanRunner::Evaluate(Buffers* buffers) {
  const size_t rows = static_cast<size_t>(micro_batch());
  const size_t values = rows * static_cast<size_t>(shape().elements());
  const size_t outputs = rows * output_size();
  std::vector<absl::Status> statuses(static_cast<size_t>(buffers->micro_batches));
  pool_.Run(buffers->micro_batches, [&](int index, int lane) {
    const size_t i = static_cast<size_t>(index);
    statuses[i] = lanes_[static_cast<size_t>(lane)]->Predict(
        std::span(buffers->x).subspan(i * values, values),
        std::span(buffers->timesteps).subspan(i * rows, rows),
        std::span(buffers->labels).subspan(i * rows, rows),
        std::span(buffers->f).subspan(i * outputs, outputs));
  });
  for (absl::Status& status : statuses) {
    if (!status.ok()) return std::move(status);
  }
  return absl::OkStatus();
}

void PlanRunner::Update(PlanTask* task, std::span<float> output,
                        std::span<const float> f_null) const {
  const size_t n = static_cast<size_t>(shape().elements());
  const std::span<float> f = output.first(n), g = output.subspan(n);
  const PlanRow& row = task->plan->rows[static_cast<size_t>(task->row)];
  bool finite = true;
  if (!f_null.empty()) Guide(task->guidance, f_null, f);
  for (const float value : f) finite = finite && std::isfinite(value);
  if (!finite) {
    task->status = absl::InternalError(
        absl::StrCat("the network's output is not finite at timestep ", row.timestep, " of seed ",
                     task->seed, ", image ", task->image_index));
    return;
  }
  std::vector<float> z;
  if (row.draws_noise) {
    z.resize(f.size());
    FillRowNoise(task->seed, task->image_index, static_cast<uint32_t>(task->row), z);
    task->status = ScaleRowNoise(row, g, z);
    if (!task->status.ok()) return;
  }
  task->clean.resize(f.size());
  ApplyPlanRow(*task->plan, row, f, z, task->after, task->clean);
  if (task->row + 1 == static_cast<int>(task->plan->rows.size())) {
    Keep(task->start, *task->plan, task->row + 1, {task->seed, task->image_index},
         std::span(task->after).first(n));
  }
  task->status = absl::OkStatus();
}

absl::Status PlanRunner::Step(std::span<PlanTask> tasks) {
  Buffers buffers;
  Gather(tasks, &buffers);
  if (absl::Status status = Evaluate(&buffers); !status.ok()) return status;

  const size_t n = static_cast<size_t>(shape().elements()), outputs = output_size();
  std::vector<size_t> first_row;
  size_t at = 0;
  for (const PlanTask& task : tasks) {
    first_row.push_back(at);
    at += static_cast<size_t>(NetworkRows(task));
  }
  pool_.Run(static_cast<int>(tasks.size()), [&](int index, int) {
    PlanTask& task = tasks[static_cast<size_t>(index)];
    const size_t row = first_row[static_cast<size_t>(index)];
    const std::span<float> output = std::span(buffers.f).subspan(row * outputs, outputs);
    const bool guided = NetworkRows(task) == 2;
    Update(&task, output,
           guided ? std::span(buffers.f).subspan((row + 1) * outputs, n) : std::span<float>());
  });
  return absl::OkStatus();
}

}  // namespace diffusiond
