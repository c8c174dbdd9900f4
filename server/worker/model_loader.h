// From checkpoint directories to step executors. Declared without LibTorch, so that main needs
// none.
#ifndef DIFFUSIOND_SERVER_WORKER_MODEL_LOADER_H_
#define DIFFUSIOND_SERVER_WORKER_MODEL_LOADER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/checkpoint/diffusers_directory.h"
#include "server/engine/step_executor.h"
#include "server/worker/device_spec.h"
#include "server/worker/micro_batch_profile.h"

namespace diffusiond {

struct LoadedModel {
  CheckpointConfig config;
  std::string digest;
  std::vector<std::string> warnings;  // Checkpoint::warnings.
  uint64_t num_parameters = 0;
  // What the bytes of its images depend on beside the model (v1::Numerics).
  int network_numerics = 0;                // kNetworkNumerics on CPUs.
  std::string libtorch_version;            // Empty: none of it is in the images.
  std::string device_kind;                 // "cpu", "cuda"; with a classifier "cpu (avx512)".
  int micro_batch = 0;                     // 0 on CPUs.
  std::vector<MicroBatchProfile> profile;  // Empty: there was none.
  std::vector<std::unique_ptr<StepExecutor>> executors;  // One per device, in their order.
  // Makes a device's executor once more, of the same weights, whatever became of the directory:
  // they are in memory, or mapped. Thread-safe; lives as long as it is held.
  std::function<absl::StatusOr<std::unique_ptr<StepExecutor>>(const DeviceSpec&)> rebuild;
};

// Whether models can be loaded on these devices. INVALID_ARGUMENT: none; devices of both kinds.
// FAILED_PRECONDITION: one that is not there.
absl::Status CheckDevices(absl::Span<const DeviceSpec> devices);

// Opens, checks and loads a checkpoint, and runs one step on every device, so that the first
// request finds it warm. Thread-safe: other models may run meanwhile. `micro_batch`: on CUDA rows
// of one network call, 1 .. kMaxMicroBatch, or 0: by a short profile on the first device; on CPUs
// 0. `max_model_memory`: see ModelMemoryLimit. INVALID_ARGUMENT, NOT_FOUND: as Checkpoint::Open and
// LoadUNet; the network's first output is not finite; `micro_batch`. FAILED_PRECONDITION, before
// anything is allocated: as CheckCpuModelMemory, with all cores of the devices at work. As
// CheckDevices.
absl::StatusOr<LoadedModel> LoadModel(const std::filesystem::path& directory,
                                      absl::Span<const DeviceSpec> devices, int micro_batch,
                                      int64_t max_model_memory = 0);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_MODEL_LOADER_H_
