// From checkpoint directories to step executors. Declared without LibTorch, so that main needs
// none.
#ifndef DIFFUSIOND_SERVER_WORKER_MODEL_LOADER_H_
#define DIFFUSIOND_SERVER_WORKER_MODEL_LOADER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/checkpoint/diffusers_directory.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

// One worker's device.
struct DeviceSpec {
  enum class Kind { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int index = 0;  // Of a GPU.
  int cores = 1;  // Of a CPU worker: micro-batches that run side by side, one thread each.
};

// Rows of one network call where --micro_batch leaves it open. A CPU worker runs several
// micro-batches side by side, so they are small; a GPU needs rows to be busy.
inline constexpr int kDefaultCpuMicroBatch = 2;
inline constexpr int kDefaultCudaMicroBatch = 32;
inline constexpr int kMaxMicroBatch = 1024;

struct LoadedModel {
  CheckpointConfig config;
  std::string digest;
  uint64_t num_parameters = 0;
  std::string libtorch_version;
  std::string device_kind;  // "cpu (avx512)", "cuda".
  int micro_batch = 1;
  std::vector<std::unique_ptr<StepExecutor>> executors;  // One per device, in their order.
};

// Opens, checks and loads a checkpoint, and runs one step on every device, so that the first
// request finds it warm. `micro_batch`: 1 .. kMaxMicroBatch, or 0 for the default of the devices'
// kind. INVALID_ARGUMENT, NOT_FOUND: as Checkpoint::Open and LoadUNet; no devices; devices of both
// kinds. FAILED_PRECONDITION: a device that is not there.
absl::StatusOr<LoadedModel> LoadModel(const std::filesystem::path& directory,
                                      absl::Span<const DeviceSpec> devices, int micro_batch);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_MODEL_LOADER_H_
