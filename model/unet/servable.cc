#include "model/unet/servable.h"

#include <torch/torch.h>

#include <algorithm>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/config/step_memory.h"
#include "model/sampling/sampler.h"
#include "model/status/status_macros.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_classifier.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {
namespace {

// A configuration without tensors, or with those of another network, has its fault named later.
double Elements(const TensorMap& tensors) {
  double elements = 0;
  for (const auto& [name, tensor] : tensors) {
    elements += static_cast<double>(NumElements(tensor.shape).value_or(0));
  }
  return elements;
}

std::string Gigabytes(double bytes) { return absl::StrFormat("%.3g GB", bytes / 1e9); }

absl::Status CheckServableWithoutThrowing(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(Networks networks, LoadNetworks(checkpoint));
  std::vector<std::unique_ptr<Denoiser>> denoisers;
  denoisers.push_back(std::make_unique<UNetDenoiser>(networks.unet, UNetDenoiser::Options()));
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
  if (networks.classifier != nullptr) {
    classifiers.push_back(
        std::make_unique<UNetClassifier>(networks.classifier, UNetClassifier::Options()));
  }
  const bool classify = !classifiers.empty();
  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                   PlanRunner::Create(std::move(denoisers), std::move(classifiers)));
  return RunFirstStep(checkpoint.config(), classify, runner.get());
}

}  // namespace

absl::Status CheckModelMemory(const Checkpoint& checkpoint, int64_t rows, int64_t lanes,
                              int64_t max_model_memory) {
  const CheckpointConfig& config = checkpoint.config();
  StepMemory memory = EstimateStepMemory(config.unet, Elements(checkpoint.tensors()),
                                         {.micro_batch = rows, .lanes = lanes});
  if (config.classifier) {
    const StepMemory classifier =
        EstimateStepMemory(*config.classifier, Elements(checkpoint.classifier_tensors()),
                           {.micro_batch = rows, .lanes = lanes, .gradients = true});
    memory.weights += classifier.weights;
    if (classifier.activations > memory.activations) {
      memory.activations = classifier.activations;
      memory.most_for = absl::StrCat("the classifier's ", classifier.most_for);
    }
  }
  const double limit = static_cast<double>(ModelMemoryLimit(max_model_memory));
  if (memory.total() <= limit) return absl::OkStatus();
  const bool by_weights = memory.weights > memory.activations;
  return absl::FailedPreconditionError(absl::StrCat(
      "takes about ", Gigabytes(memory.total()), " of memory: ", Gigabytes(memory.weights),
      " of weights, ", Gigabytes(memory.activations), " for a step of ", lanes, " x ", rows,
      " rows, most of all for ",
      by_weights ? "the weights, by block_out_channels and layers_per_block" : memory.most_for,
      "; the limit is ", Gigabytes(limit), " (--max_model_memory",
      max_model_memory > 0 ? absl::StrCat("=", max_model_memory)
                           : ", by default half of the machine's memory",
      ")"));
}

absl::StatusOr<Networks> LoadNetworks(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> unet, LoadUNet(checkpoint));
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> classifier, LoadClassifier(checkpoint));
  return Networks{std::move(unet), std::move(classifier)};
}

absl::Status RunFirstStep(const CheckpointConfig& config, bool classify, PlanRunner* runner) {
  ASSIGN_OR_RETURN(ModelSchedule schedule, MakeModelSchedule(config.scheduler));
  // DDPM: any model's default may need more steps. The last of two, as the network may tell nothing
  // of x_0 where the first begins (an alpha_bar of 0).
  SamplingOptions options;
  options.steps = std::min<int64_t>(2, schedule.num_train_timesteps);
  options.strength = 1.0 / static_cast<double>(options.steps);
  options.timestep_spacing = TimestepSpacing::kTrailing;  // The only one that knows no offset.
  if (schedule.edm.has_value()) {
    options.sampler = "euler";
    options.sigma_schedule = SigmaSchedule::kKarras;
  }
  ASSIGN_OR_RETURN(const SamplingPlan plan, CompilePlan(schedule, options));
  PlanTask task;
  task.plan = &plan;
  task.null_label = config.null_class_id.value_or(0);
  task.label = classify ? 0 : task.null_label;
  if (classify) task.guidance.classifier_scale = 1;
  const int passes = NetworkPasses(task.guidance, plan.rows[0]);
  std::vector<PlanTask> tasks(static_cast<size_t>(std::max(1, runner->capacity() / passes)), task);
  RETURN_IF_ERROR(runner->Step(tasks));
  for (const PlanTask& done : tasks) {
    if (!done.status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot be drawn with: ", done.status.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckServable(const Checkpoint& checkpoint, int64_t max_model_memory) {
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  RETURN_IF_ERROR(CheckModelMemory(checkpoint, /*rows=*/1, cores, max_model_memory));
  try {
    return CheckServableWithoutThrowing(checkpoint);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the model");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the model cannot be loaded: ", error.what()));
  }
}

}  // namespace diffusiond
