#include "server/worker/model_loader.h"

#include <torch/torch.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/files/file_status.h"
#include "model/sampling/plan_runner.h"
#include "model/status/status_macros.h"
#include "model/unet/device_option.h"
#include "model/unet/servable.h"
#include "model/unet/unet_classifier.h"
#include "model/unet/unet_denoiser.h"
#include "model/unet/winograd.h"
#include "server/worker/plan_step_executor.h"

namespace diffusiond {
namespace {

std::string CpuKind() {
#if defined(__x86_64__)
  if (HasWinograd()) return "cpu (avx512, winograd)";
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

absl::StatusOr<std::unique_ptr<PlanRunner>> MakeRunner(const Networks& networks,
                                                       const DeviceSpec& device, int micro_batch) {
  torch::Device where = torch::kCPU;
  int lanes = 1;
  if (device.kind == DeviceKind::kCuda) {
    UseFullFloat32();
    where = torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(device.index));
    networks.unet->to(where);
    if (networks.classifier != nullptr) networks.classifier->to(where);
  } else {
    lanes = device.cores;
  }
  std::vector<std::unique_ptr<Denoiser>> denoisers;
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
  for (int lane = 0; lane < lanes; ++lane) {
    denoisers.push_back(std::make_unique<UNetDenoiser>(
        networks.unet, UNetDenoiser::Options{.micro_batch = micro_batch, .device = where}));
    if (networks.classifier == nullptr) continue;
    classifiers.push_back(std::make_unique<UNetClassifier>(
        networks.classifier, UNetClassifier::Options{.micro_batch = micro_batch, .device = where}));
  }
  return PlanRunner::Create(std::move(denoisers), std::move(classifiers));
}

std::unique_ptr<StepExecutor> MakeExecutor(const CheckpointConfig& config,
                                           std::unique_ptr<PlanRunner> runner) {
  return std::make_unique<PlanStepExecutor>(std::move(runner), config.null_class_id.value_or(0));
}

absl::StatusOr<std::unique_ptr<StepExecutor>> MakeExecutor(const CheckpointConfig& config,
                                                           const Networks& networks,
                                                           const DeviceSpec& device,
                                                           int micro_batch) {
  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner, MakeRunner(networks, device, micro_batch));
  return MakeExecutor(config, std::move(runner));
}

// Sizes doubled until that gains little, or the profile has taken this long.
constexpr absl::Duration kProfileTime = absl::Seconds(3);
constexpr int kLargestProfiled = 64;
constexpr int kProfiledSteps = 4;
constexpr double kLittleGain = 1.05;
// A size with this part of the fastest one's rate is as good: a lone image waits for its whole
// micro-batch at every step, so smaller ones are quicker where the server is not full.
constexpr double kAsGood = 0.8;

// `fits`: whether a size's memory may be taken.
absl::StatusOr<std::vector<MicroBatchProfile>> Profile(const CheckpointConfig& config,
                                                       const Networks& networks,
                                                       const DeviceSpec& device,
                                                       const std::function<bool(int)>& fits) {
  std::vector<MicroBatchProfile> profile;
  double best = 0;
  const absl::Time begin = absl::Now();
  for (int size = 1; size <= kLargestProfiled && absl::Now() - begin < kProfileTime; size *= 2) {
    if (!profile.empty() && !fits(size)) break;
    ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner, MakeRunner(networks, device, size));
    absl::Duration shortest = absl::InfiniteDuration();
    for (int step = 0; step <= kProfiledSteps; ++step) {
      const absl::Time start = absl::Now();
      absl::Status status = RunFirstStep(config, /*classify=*/false, runner.get());
      // A size that does not fit the device ends the profile, if a smaller one did.
      if (absl::IsResourceExhausted(status) && !profile.empty()) return profile;
      if (!status.ok()) return status;
      if (step > 0) shortest = std::min(shortest, absl::Now() - start);
    }
    const double rate = runner->capacity() / absl::ToDoubleSeconds(shortest);
    profile.push_back({size, rate});
    if (rate < kLittleGain * best) break;
    best = std::max(best, rate);
  }
  return profile;
}

int ChooseMicroBatch(const std::vector<MicroBatchProfile>& profile) {
  double best = 0;
  for (const MicroBatchProfile& tried : profile) {
    best = std::max(best, tried.passes_per_second);
  }
  for (const MicroBatchProfile& tried : profile) {
    if (tried.passes_per_second >= kAsGood * best) return tried.micro_batch;
  }
  return 1;
}

// Micro-batches that run side by side in one memory.
int64_t LanesOf(absl::Span<const DeviceSpec> devices) {
  if (devices[0].kind == DeviceKind::kCuda) return 1;
  int64_t lanes = 0;
  for (const DeviceSpec& device : devices) lanes += device.cores;
  return lanes;
}

void AddRebuild(std::shared_ptr<const Checkpoint> checkpoint, const Networks& networks, bool cuda,
                LoadedModel* model) {
  if (cuda) {
    model->rebuild = [checkpoint, micro_batch = model->micro_batch](const DeviceSpec& device) {
      return WithoutThrowing([&]() -> absl::StatusOr<std::unique_ptr<StepExecutor>> {
        ASSIGN_OR_RETURN(const Networks again, LoadNetworks(*checkpoint));
        return MakeExecutor(checkpoint->config(), again, device, micro_batch);
      });
    };
  } else {
    model->rebuild = [config = model->config, networks,
                      micro_batch = model->micro_batch](const DeviceSpec& device) {
      return WithoutThrowing([&] { return MakeExecutor(config, networks, device, micro_batch); });
    };
  }
}

absl::StatusOr<LoadedModel> Load(const std::filesystem::path& directory,
                                 absl::Span<const DeviceSpec> devices, int micro_batch,
                                 int64_t max_model_memory) {
  RETURN_IF_ERROR(CheckDevices(devices));
  if (micro_batch < 0 || micro_batch > kMaxMicroBatch) {
    return absl::InvalidArgumentError(
        absl::StrCat("micro_batch is ", micro_batch, "; it must be 0 .. ", kMaxMicroBatch));
  }
  const bool cuda = devices[0].kind == DeviceKind::kCuda;
  LoadedModel model;
  model.micro_batch = micro_batch;
  model.device_kind = cuda ? "cuda" : CpuKind();
  model.libtorch_version = TORCH_VERSION;

  ASSIGN_OR_RETURN(Checkpoint opened, Checkpoint::Open(directory));
  auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
  model.config = checkpoint->config();
  model.digest = checkpoint->digest();
  model.warnings = checkpoint->warnings();
  const auto in_directory = [&directory](const absl::Status& status) {
    return InFile(directory, status);
  };
  // Before anything is allocated.
  const auto check_memory = [&, lanes = LanesOf(devices)](int rows) {
    return CheckModelMemory(*checkpoint, rows, lanes, max_model_memory);
  };
  if (absl::Status status = check_memory(std::max(1, micro_batch)); !status.ok()) {
    return in_directory(status);
  }

  Networks networks;  // CPU workers read the same weights; a GPU has its own copy.
  for (const DeviceSpec& device : devices) {
    if (networks.unet == nullptr || cuda) {
      ASSIGN_OR_RETURN(networks, LoadNetworks(*checkpoint));
    }
    if (model.micro_batch == 0) {
      absl::StatusOr<std::vector<MicroBatchProfile>> profile = Profile(
          model.config, networks, device, [&](int size) { return check_memory(size).ok(); });
      if (!profile.ok()) return in_directory(profile.status());
      model.profile = *std::move(profile);
      model.micro_batch = ChooseMicroBatch(model.profile);
    }
    ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                     MakeRunner(networks, device, model.micro_batch));
    // The first call of a network sets up its kernels.
    const bool classify = networks.classifier != nullptr;
    if (absl::Status status = RunFirstStep(model.config, classify, runner.get()); !status.ok()) {
      return in_directory(status);
    }
    model.executors.push_back(MakeExecutor(model.config, std::move(runner)));
  }
  AddRebuild(std::move(checkpoint), networks, cuda, &model);
  for (const torch::Tensor& parameter : networks.unet->parameters()) {
    model.num_parameters += static_cast<uint64_t>(parameter.numel());
  }
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
