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

namespace diffusiond {

inline constexpr int kMaxMicroBatch = 1024;

// What one size of micro-batch gave in the profile.
struct MicroBatchProfile {
  int micro_batch = 1;
  double passes_per_second = 0;  // With all lanes of the device busy.
};

struct LoadedModel {
  CheckpointConfig config;
  std::string digest;
  std::vector<std::string> warnings;  // Checkpoint::warnings.
  uint64_t num_parameters = 0;
  std::string libtorch_version;
  std::string device_kind;  // "cpu (avx512)", "cuda".
  int micro_batch = 1;
  std::vector<MicroBatchProfile> profile;                // Empty: --micro_batch was given.
  std::vector<std::unique_ptr<StepExecutor>> executors;  // One per device, in their order.
  // Makes a device's executor once more, of the same weights, whatever became of the directory:
  // they are in memory, or mapped. Thread-safe; lives as long as it is held.
  std::function<absl::StatusOr<std::unique_ptr<StepExecutor>>(const DeviceSpec&)> rebuild;
};

// Whether models can be loaded on these devices. INVALID_ARGUMENT: none; devices of both kinds.
// FAILED_PRECONDITION: one that is not there.
absl::Status CheckDevices(absl::Span<const DeviceSpec> devices);

// Opens, checks and loads a checkpoint, and runs one step on every device, so that the first
// request finds it warm. Thread-safe: other models may run meanwhile. `micro_batch`: rows of one
// network call, 1 .. kMaxMicroBatch; 0: a short profile on the first device takes the smallest that
// has four fifths of the fastest one's rate. `max_model_memory`: see ModelMemoryLimit.
// INVALID_ARGUMENT, NOT_FOUND: as Checkpoint::Open and LoadUNet; the network's first output is not
// finite. FAILED_PRECONDITION, before anything is allocated: as CheckModelMemory, with all lanes of
// the devices at work. As CheckDevices.
absl::StatusOr<LoadedModel> LoadModel(const std::filesystem::path& directory,
                                      absl::Span<const DeviceSpec> devices, int micro_batch,
                                      int64_t max_model_memory = 0);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_MODEL_LOADER_H_
