#include "server/worker/model_loader.h"

#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/cpu_network/cpu_unet.h"
#include "model/files/file_status.h"
#include "model/sampling/plan_runner.h"
#include "model/status/status_macros.h"
#include "model/unet/device_option.h"
#include "model/unet/servable.h"
#include "model/unet/unet_classifier.h"
#include "model/unet/unet_denoiser.h"
#include "server/worker/micro_batch_profile.h"
#include "server/worker/plan_step_executor.h"

namespace diffusiond {
namespace {

std::string CpuKind() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return "cpu (avx512)";
  if (__builtin_cpu_supports("avx2")) return "cpu (avx2)";
#endif
  return "cpu";
}

// LibTorch throws where a device has no memory left, or fails.
template <typename Call>
auto WithoutThrowing(const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for the model: ", error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the model");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the model cannot be loaded: ", error.what()));
  }
}

absl::StatusOr<std::unique_ptr<PlanRunner>> MakeCudaRunner(const Networks& networks,
                                                           const DeviceSpec& device,
                                                           int micro_batch) {
  UseFullFloat32();
  const torch::Device where(torch::kCUDA, static_cast<c10::DeviceIndex>(device.index));
  networks.unet->to(where);
  std::vector<std::unique_ptr<Denoiser>> denoisers;
  denoisers.push_back(std::make_unique<UNetDenoiser>(
      networks.unet, UNetDenoiser::Options{.micro_batch = micro_batch, .device = where}));
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
  if (networks.classifier != nullptr) {
    networks.classifier->to(where);
    classifiers.push_back(std::make_unique<UNetClassifier>(
        networks.classifier, UNetClassifier::Options{.micro_batch = micro_batch, .device = where}));
  }
  return PlanRunner::Create(std::move(denoisers), std::move(classifiers));
}

absl::StatusOr<std::unique_ptr<StepExecutor>> ExecutorOf(
    const CheckpointConfig& config, absl::StatusOr<std::unique_ptr<PlanRunner>> runner) {
  if (!runner.ok()) return runner.status();
  return std::make_unique<PlanStepExecutor>(*std::move(runner), config.null_class_id.value_or(0));
}

// Passes a second, of a few steps the quickest.
absl::StatusOr<double> MeasureRate(const CheckpointConfig& config, PlanRunner* runner) {
  constexpr int kProfiledSteps = 4;
  absl::Duration shortest = absl::InfiniteDuration();
  for (int step = 0; step <= kProfiledSteps; ++step) {
    const absl::Time start = absl::Now();
    RETURN_IF_ERROR(RunFirstStep(config, /*classify=*/false, runner));
    if (step > 0) shortest = std::min(shortest, absl::Now() - start);
  }
  return runner->capacity() / absl::ToDoubleSeconds(shortest);
}

struct Source {
  std::filesystem::path directory;
  std::shared_ptr<const Checkpoint> checkpoint;
  absl::Span<const DeviceSpec> devices;
  int64_t max_model_memory = 0;
};

// A runner that has run, and its executor.
absl::Status AddExecutor(const Source& source, const Networks& networks,
                         std::unique_ptr<PlanRunner> runner, LoadedModel* model) {
  // The first call of a network sets up its kernels.
  const bool classify = networks.classifier != nullptr;
  if (absl::Status status = RunFirstStep(model->config, classify, runner.get()); !status.ok()) {
    return InFile(source.directory, status);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<StepExecutor> executor,
                   ExecutorOf(source.checkpoint->config(), std::move(runner)));
  model->executors.push_back(std::move(executor));
  return absl::OkStatus();
}

// All workers read the same weights.
absl::Status LoadOnCpus(const Source& source, LoadedModel* model) {
  if (model->micro_batch != 0) {
    return absl::InvalidArgumentError(absl::StrCat("micro_batch is ", model->micro_batch,
                                                   ", which is for CUDA: on CPUs there is none"));
  }
  int64_t threads = 0;
  for (const DeviceSpec& device : source.devices) threads += device.cores;
  if (absl::Status status =
          CheckCpuModelMemory(*source.checkpoint, threads, source.max_model_memory);
      !status.ok()) {
    return InFile(source.directory, status);
  }
  ASSIGN_OR_RETURN(const Networks networks, LoadCpuNetworks(*source.checkpoint));
  model->network_numerics = kNetworkNumerics;
  model->device_kind = "cpu";
  if (networks.classifier != nullptr) {  // Its gradients are LibTorch's.
    model->device_kind = CpuKind();
    model->libtorch_version = TORCH_VERSION;
  }
  for (const DeviceSpec& device : source.devices) {
    ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner, MakeCpuRunner(networks, device.cores));
    RETURN_IF_ERROR(AddExecutor(source, networks, std::move(runner), model));
  }
  model->rebuild = [config = model->config, networks](const DeviceSpec& device) {
    return WithoutThrowing([&]() -> absl::StatusOr<std::unique_ptr<StepExecutor>> {
      return ExecutorOf(config, MakeCpuRunner(networks, device.cores));
    });
  };
  return absl::OkStatus();
}

// Each GPU has its own copy of the weights.
absl::Status LoadOnCuda(const Source& source, LoadedModel* model) {
  const auto check_memory = [&source](int rows) {
    return InFile(source.directory,
                  CheckCudaModelMemory(*source.checkpoint, rows, source.max_model_memory));
  };
  RETURN_IF_ERROR(check_memory(std::max(1, model->micro_batch)));
  model->device_kind = "cuda";
  model->libtorch_version = TORCH_VERSION;
  for (const DeviceSpec& device : source.devices) {
    ASSIGN_OR_RETURN(const Networks networks, LoadCudaNetworks(*source.checkpoint));
    if (model->micro_batch == 0) {
      MicroBatchTrial trial;
      trial.measure = [&](int size) -> absl::StatusOr<double> {
        ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                         MakeCudaRunner(networks, device, size));
        return MeasureRate(model->config, runner.get());
      };
      trial.fits = [&](int size) { return check_memory(size).ok(); };
      ASSIGN_OR_RETURN(model->profile, ProfileMicroBatches(trial));
      model->micro_batch = ChooseMicroBatch(model->profile);
    }
    ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                     MakeCudaRunner(networks, device, model->micro_batch));
    RETURN_IF_ERROR(AddExecutor(source, networks, std::move(runner), model));
  }
  model->rebuild = [checkpoint = source.checkpoint,
                    micro_batch = model->micro_batch](const DeviceSpec& device) {
    return WithoutThrowing([&]() -> absl::StatusOr<std::unique_ptr<StepExecutor>> {
      ASSIGN_OR_RETURN(const Networks again, LoadCudaNetworks(*checkpoint));
      return ExecutorOf(checkpoint->config(), MakeCudaRunner(again, device, micro_batch));
    });
  };
  return absl::OkStatus();
}

absl::StatusOr<LoadedModel> Load(const std::filesystem::path& directory,
                                 absl::Span<const DeviceSpec> devices, int micro_batch,
                                 int64_t max_model_memory) {
  RETURN_IF_ERROR(CheckDevices(devices));
  if (micro_batch < 0 || micro_batch > kMaxMicroBatch) {
    return absl::InvalidArgumentError(
        absl::StrCat("micro_batch is ", micro_batch, "; it must be 0 .. ", kMaxMicroBatch));
  }
  ASSIGN_OR_RETURN(Checkpoint opened, Checkpoint::Open(directory));
  const Source source = {.directory = directory,
                         .checkpoint = std::make_shared<const Checkpoint>(std::move(opened)),
                         .devices = devices,
                         .max_model_memory = max_model_memory};
  LoadedModel model;
  model.micro_batch = micro_batch;
  model.config = source.checkpoint->config();
  model.digest = source.checkpoint->digest();
  model.warnings = source.checkpoint->warnings();
  for (const auto& [name, tensor] : source.checkpoint->tensors()) {
    model.num_parameters += static_cast<uint64_t>(NumElements(tensor.shape).value_or(0));
  }
  const bool cuda = devices[0].kind == DeviceKind::kCuda;
  RETURN_IF_ERROR(cuda ? LoadOnCuda(source, &model) : LoadOnCpus(source, &model));
  return model;
}

}  // namespace

absl::Status CheckDevices(absl::Span<const DeviceSpec> devices) {
  if (devices.empty()) return absl::InvalidArgumentError("a model needs at least one device");
  for (const DeviceSpec& device : devices) {
    if (device.kind != devices[0].kind) {
      return absl::InvalidArgumentError(
          "devices of two kinds: the same request would give other bytes on each");
    }
    if (device.kind == DeviceKind::kCuda &&
        (!torch::cuda::is_available() ||
         device.index >= static_cast<int>(torch::cuda::device_count()))) {
      const int there =
          torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
      return absl::FailedPreconditionError(absl::StrCat(
          "cuda:", device.index, " is not there: ",
          there == 0   ? std::string("there is no CUDA device, or this build has no CUDA; cpu is")
          : there == 1 ? std::string("cuda:0 is, and cpu")
                       : absl::StrCat("cuda:0 to cuda:", there - 1, " are, and cpu")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LoadedModel> LoadModel(const std::filesystem::path& directory,
                                      absl::Span<const DeviceSpec> devices, int micro_batch,
                                      int64_t max_model_memory) {
  return WithoutThrowing([&] { return Load(directory, devices, micro_batch, max_model_memory); });
}

}  // namespace diffusiond
