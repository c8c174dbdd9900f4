#include "model/sampling/plan_runner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/sampling/plan_update.h"
#include "model/status/status_macros.h"

namespace diffusiond {

// What one network is asked in a step and what it answers, padded to whole micro-batches.
struct PlanRunner::NetworkInput {
  int micro_batches = 0;
  std::vector<float> x, out;
  std::vector<float> timesteps;
  std::vector<int64_t> labels;
  size_t passes = 0;  // Filled in.

  void Reserve(size_t wanted, size_t micro_batch, size_t values, size_t outputs) {
    micro_batches = static_cast<int>((wanted + micro_batch - 1) / micro_batch);
    const size_t padded = static_cast<size_t>(micro_batches) * micro_batch;
    x.resize(padded * values);
    out.resize(padded * outputs);
    timesteps.resize(padded);
    labels.resize(padded);
  }

  void Add(const PlanRow& row, std::span<const float> image, int64_t label) {
    const float c_in = static_cast<float>(row.c_in);
    std::transform(image.begin(), image.end(),
                   x.begin() + static_cast<ptrdiff_t>(passes * image.size()),
                   [c_in](float value) { return c_in * value; });
    timesteps[passes] = static_cast<float>(row.timestep);
    labels[passes] = label;
    ++passes;
  }
};

struct PlanRunner::Buffers {
  NetworkInput denoiser, classifier;
};

namespace {

absl::Status CheckOutputs(const Denoiser& denoiser) {
  const int channels = denoiser.shape().channels, outputs = denoiser.output_channels();
  if (outputs == channels || outputs == 2 * channels) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the network gives ", outputs,
                                                 " channels for images of ", channels,
                                                 "; expected as many or twice as many"));
}

absl::Status CheckClassifiers(const std::vector<std::unique_ptr<NoiseClassifier>>& classifiers,
                              const Denoiser& denoiser, size_t lanes, int micro_batch) {
  if (!classifiers.empty() && classifiers.size() != lanes) {
    return absl::InvalidArgumentError(absl::StrCat("a plan runner has ", classifiers.size(),
                                                   " classifiers for ", lanes, " lanes"));
  }
  for (const auto& classifier : classifiers) {
    if (classifier->shape() == denoiser.shape() && classifier->micro_batch() == micro_batch) {
      continue;
    }
    return absl::InvalidArgumentError(
        "a plan runner's classifier differs from its denoisers in shape or micro-batch");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<PlanRunner>> PlanRunner::Create(
    std::vector<std::unique_ptr<Denoiser>> lanes,
    std::vector<std::unique_ptr<NoiseClassifier>> classifiers, RowNoise noise) {
  if (lanes.empty()) return absl::InvalidArgumentError("a plan runner needs a denoiser");
  const int micro_batch = lanes[0]->micro_batch();
  for (const auto& lane : lanes) {
    if (!(lane->shape() == lanes[0]->shape()) || lane->micro_batch() != micro_batch ||
        lane->output_channels() != lanes[0]->output_channels()) {
      return absl::InvalidArgumentError(
          "the denoisers of a plan runner differ in shape or micro-batch");
    }
  }
  if (micro_batch == kAnyRows) {
    return absl::InvalidArgumentError("a denoiser of any rows computes on a pool of its own");
  }
  RETURN_IF_ERROR(CheckOutputs(*lanes[0]));
  RETURN_IF_ERROR(CheckClassifiers(classifiers, *lanes[0], lanes.size(), micro_batch));
  auto pool = std::make_shared<LanePool>(static_cast<int>(lanes.size()));
  return std::unique_ptr<PlanRunner>(
      new PlanRunner(std::move(lanes), std::move(pool), std::move(classifiers), std::move(noise)));
}

absl::StatusOr<std::unique_ptr<PlanRunner>> PlanRunner::Create(
    std::unique_ptr<Denoiser> denoiser, std::shared_ptr<LanePool> pool,
    std::vector<std::unique_ptr<NoiseClassifier>> classifiers, RowNoise noise) {
  if (denoiser->micro_batch() != kAnyRows) {
    return absl::InvalidArgumentError("a denoiser of fixed rows has a lane of its own");
  }
  RETURN_IF_ERROR(CheckOutputs(*denoiser));
  RETURN_IF_ERROR(CheckClassifiers(classifiers, *denoiser, static_cast<size_t>(pool->lanes()), 1));
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::move(denoiser));
  return std::unique_ptr<PlanRunner>(
      new PlanRunner(std::move(lanes), std::move(pool), std::move(classifiers), std::move(noise)));
}

PlanRunner::PlanRunner(std::vector<std::unique_ptr<Denoiser>> lanes, std::shared_ptr<LanePool> pool,
                       std::vector<std::unique_ptr<NoiseClassifier>> classifiers, RowNoise noise)
    : lanes_(std::move(lanes)),
      classifiers_(std::move(classifiers)),
      noise_(noise ? std::move(noise)
                   : [](uint64_t seed, uint32_t image_index, uint32_t row,
                        std::span<float> z) { FillRowNoise(seed, image_index, row, z); }),
      pool_(std::move(pool)) {}

size_t PlanRunner::output_size() const {
  const size_t copies = static_cast<size_t>(lanes_.front()->output_channels() / shape().channels);
  return copies * static_cast<size_t>(shape().elements());
}

void PlanRunner::Gather(std::span<PlanTask> tasks, Buffers* buffers) const {
  const size_t n = static_cast<size_t>(shape().elements());
  size_t denoiser_passes = 0, classifier_passes = 0;
  for (const PlanTask& task : tasks) {
    denoiser_passes += static_cast<size_t>(DenoiserPasses(task.guidance, RowOf(task)));
    classifier_passes += task.guidance.AsksClassifier(RowOf(task)) ? 1 : 0;
  }
  const size_t micro_batch = static_cast<size_t>(std::max(1, this->micro_batch()));
  buffers->denoiser.Reserve(denoiser_passes, micro_batch, n, output_size());
  buffers->classifier.Reserve(classifier_passes, micro_batch, n, n);

  for (PlanTask& task : tasks) {
    const PlanRow& row = RowOf(task);
    std::vector<float>& registers = task.after;
    registers.assign(task.before.begin(), task.before.end());
    registers.resize(static_cast<size_t>(task.plan->registers) * n);
    const std::span<float> x(registers.data(), n);
    const NoiseKey key = {task.seed, task.image_index};
    if (task.before.empty()) Begin(task.start, *task.plan, key, x);
    KeepKnown(task.start, *task.plan, task.row, key, x);
    buffers->denoiser.Add(row, x, task.label);
    if (task.guidance.AsksWithoutClass(row)) buffers->denoiser.Add(row, x, task.null_label);
    if (task.guidance.AsksClassifier(row)) buffers->classifier.Add(row, x, task.label);
  }
}

absl::Status PlanRunner::Evaluate(Buffers* buffers) {
  const size_t rows = static_cast<size_t>(std::max(1, micro_batch()));
  const size_t values = rows * static_cast<size_t>(shape().elements());
  int denoiser_batches = buffers->denoiser.micro_batches;
  if (micro_batch() == kAnyRows) {
    NetworkInput& input = buffers->denoiser;
    RETURN_IF_ERROR(lanes_[0]->Predict(input.x, input.timesteps, input.labels, input.out));
    denoiser_batches = 0;
  }
  std::vector<absl::Status> statuses(
      static_cast<size_t>(denoiser_batches + buffers->classifier.micro_batches));
  const auto ask = [&](NetworkInput& input, int micro_batch, size_t outputs, auto&& network) {
    const size_t i = static_cast<size_t>(micro_batch);
    return network(std::span<const float>(input.x).subspan(i * values, values),
                   std::span<const float>(input.timesteps).subspan(i * rows, rows),
                   std::span<const int64_t>(input.labels).subspan(i * rows, rows),
                   std::span(input.out).subspan(i * outputs, outputs));
  };
  pool_->Run(static_cast<int>(statuses.size()), [&](int index, int lane_index) {
    const size_t lane = static_cast<size_t>(lane_index);
    statuses[static_cast<size_t>(index)] =
        index < denoiser_batches
            ? ask(buffers->denoiser, index, rows * output_size(),
                  [&](auto... spans) { return lanes_[lane]->Predict(spans...); })
            : ask(buffers->classifier, index - denoiser_batches, values,
                  [&](auto... spans) { return classifiers_[lane]->Gradient(spans...); });
  });
  for (absl::Status& status : statuses) {
    if (!status.ok()) return std::move(status);
  }
  return absl::OkStatus();
}

void PlanRunner::Update(PlanTask* task, std::span<float> output, std::span<const float> f_null,
                        std::span<const float> gradient) const {
  const size_t n = static_cast<size_t>(shape().elements());
  const std::span<float> f = output.first(n), g = output.subspan(n);
  const PlanRow& row = RowOf(*task);
  bool finite = true;
  if (!f_null.empty()) Guide(task->guidance, f_null, f);
  if (!gradient.empty()) GuideByClassifier(task->guidance, row, gradient, f);
  for (const float value : f) finite = finite && std::isfinite(value);
  if (!finite) {
    task->status = absl::InternalError(
        absl::StrCat("the network's output is not finite at timestep ", row.timestep, " of seed ",
                     task->seed, ", image ", task->image_index));
    return;
  }
  if (task->keep_g) task->g.assign(g.begin(), g.end());
  std::vector<float> z;
  if (row.draws_noise) {
    z.resize(f.size());
    noise_(task->seed, task->image_index, static_cast<uint32_t>(task->row), z);
    task->status = ScaleRowNoise(row, g, z);
    if (!task->status.ok()) return;
  }
  task->clean.resize(f.size());
  ApplyPlanRow(*task->plan, row, f, z, task->after, task->clean);
  if (task->row + 1 == static_cast<int>(task->plan->rows.size())) {
    KeepKnown(task->start, *task->plan, task->row + 1, {task->seed, task->image_index},
              std::span(task->after).first(n));
  }
  task->status = absl::OkStatus();
}

absl::Status PlanRunner::Step(std::span<PlanTask> tasks) {
  Buffers buffers;
  Gather(tasks, &buffers);
  if (buffers.classifier.passes > 0 && !has_classifier()) {
    return absl::FailedPreconditionError("classifier guidance of a model without a classifier");
  }
  RETURN_IF_ERROR(Evaluate(&buffers));

  const size_t n = static_cast<size_t>(shape().elements()), outputs = output_size();
  struct FirstPasses {
    size_t denoiser, classifier;
  };
  std::vector<FirstPasses> first_passes;
  FirstPasses next = {0, 0};
  for (const PlanTask& task : tasks) {
    first_passes.push_back(next);
    next.denoiser += static_cast<size_t>(DenoiserPasses(task.guidance, RowOf(task)));
    next.classifier += task.guidance.AsksClassifier(RowOf(task)) ? 1 : 0;
  }
  pool_->Run(static_cast<int>(tasks.size()), [&](int index, int) {
    PlanTask& task = tasks[static_cast<size_t>(index)];
    const FirstPasses first = first_passes[static_cast<size_t>(index)];
    const std::span<float> f = buffers.denoiser.out, gradients = buffers.classifier.out;
    const PlanRow& row = RowOf(task);
    Update(&task, f.subspan(first.denoiser * outputs, outputs),
           task.guidance.AsksWithoutClass(row) ? f.subspan((first.denoiser + 1) * outputs, n)
                                               : std::span<float>(),
           task.guidance.AsksClassifier(row) ? gradients.subspan(first.classifier * n, n)
                                             : std::span<float>());
  });
  return absl::OkStatus();
}

}  // namespace diffusiond
