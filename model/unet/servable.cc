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
#include "model/cpu_network/cpu_denoiser.h"
#include "model/cpu_network/cpu_unet.h"
#include "model/sampling/sampler.h"
#include "model/status/status_macros.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_classifier.h"

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
  ASSIGN_OR_RETURN(const Networks networks, LoadCpuNetworks(checkpoint));
  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner, MakeCpuRunner(networks, /*threads=*/1));
  return RunFirstStep(checkpoint.config(), networks.classifier != nullptr, runner.get());
}

// `memory` without the classifier's; `load` of a step.
absl::Status CheckMemory(const Checkpoint& checkpoint, StepMemory memory, StepLoad load,
                         const std::string& step, int64_t max_model_memory) {
  if (checkpoint.config().classifier) {
    load.gradients = true;
    const StepMemory classifier = EstimateStepMemory(
        *checkpoint.config().classifier, Elements(checkpoint.classifier_tensors()), load);
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
      " of weights, ", Gigabytes(memory.activations), " for a step ", step, ", most of all for ",
      by_weights ? "the weights, by block_out_channels and layers_per_block" : memory.most_for,
      "; the limit is ", Gigabytes(limit), " (--max_model_memory",
      max_model_memory > 0 ? absl::StrCat("=", max_model_memory)
                           : ", by default half of the machine's memory",
      ")"));
}

}  // namespace

absl::Status CheckCpuModelMemory(const Checkpoint& checkpoint, int64_t threads,
                                 int64_t max_model_memory) {
  const UNetConfig& config = checkpoint.config().unet;
  const StepLoad load = {.micro_batch = 1, .lanes = threads};
  const double elements = Elements(checkpoint.tensors());
  StepMemory memory = EstimateStepMemory(config, elements, load);
  // Packed weights are larger than a checkpoint's by as much as Winograd's transforms are.
  const CpuUNetSize size = CpuUNetSizeOf(config);
  double parameters = 0, unpacked = 0;
  for (const auto& [name, shape] : CpuUNetParameters(config)) {
    const double count = static_cast<double>(NumElements(shape).value_or(0));
    parameters += count;
    if (name == "class_embedding.weight") unpacked += count;
  }
  constexpr double kFloatBytes = sizeof(float);
  const double kept = static_cast<double>(size.weights) + unpacked;
  memory.weights = kFloatBytes * kept * elements / parameters;
  memory.activations = kFloatBytes * static_cast<double>(NetworkRunner::FloatsFor(
                                         size, static_cast<size_t>(threads)));
  return CheckMemory(checkpoint, memory, load,
                     absl::StrCat("on ", threads, threads == 1 ? " thread" : " threads"),
                     max_model_memory);
}

absl::Status CheckCudaModelMemory(const Checkpoint& checkpoint, int64_t rows,
                                  int64_t max_model_memory) {
  const StepLoad load = {.micro_batch = rows, .lanes = 1};
  return CheckMemory(
      checkpoint,
      EstimateStepMemory(checkpoint.config().unet, Elements(checkpoint.tensors()), load), load,
      absl::StrCat("of ", rows, rows == 1 ? " row" : " rows"), max_model_memory);
}

absl::StatusOr<Networks> LoadCpuNetworks(const Checkpoint& checkpoint) {
  const UNetConfig& config = checkpoint.config().unet;
  const NetworkWeights& weights = checkpoint.weights();
  RETURN_IF_ERROR(weights.Check(CpuUNetParameters(config)));
  ASSIGN_OR_RETURN(std::unique_ptr<CpuUNet> network,
                   CpuUNet::Create(config, weights.tensors, [&weights](const TensorView& tensor) {
                     weights.file.Forget(tensor.data);
                   }));
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> classifier, LoadClassifier(checkpoint));
  return Networks{.cpu = std::move(network), .unet = nullptr, .classifier = std::move(classifier)};
}

absl::StatusOr<Networks> LoadCudaNetworks(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> unet, LoadUNet(checkpoint));
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> classifier, LoadClassifier(checkpoint));
  return Networks{.cpu = nullptr, .unet = std::move(unet), .classifier = std::move(classifier)};
}

absl::StatusOr<std::unique_ptr<PlanRunner>> MakeCpuRunner(const Networks& networks, int threads) {
  auto pool = std::make_shared<LanePool>(threads);
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
  for (int lane = 0; networks.classifier != nullptr && lane < threads; ++lane) {
    classifiers.push_back(
        std::make_unique<UNetClassifier>(networks.classifier, UNetClassifier::Options()));
  }
  auto denoiser = std::make_unique<CpuDenoiser>(networks.cpu, pool);
  return PlanRunner::Create(std::move(denoiser), std::move(pool), std::move(classifiers));
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
  RETURN_IF_ERROR(CheckCpuModelMemory(checkpoint, cores, max_model_memory));
  try {
    return CheckServableWithoutThrowing(checkpoint);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the model");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the model cannot be loaded: ", error.what()));
  }
}

}  // namespace diffusiond
