// Whether servers can serve a checkpoint: what a server runs before it serves one, and a publisher
// before it publishes one. Declared without LibTorch.
#ifndef DIFFUSIOND_MODEL_UNET_SERVABLE_H_
#define DIFFUSIOND_MODEL_UNET_SERVABLE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/plan_runner.h"

namespace diffusiond {

class CpuUNet;
class UNet;

// A checkpoint's weights on one device.
struct Networks {
  std::shared_ptr<const CpuUNet> cpu;  // On CPUs.
  std::shared_ptr<UNet> unet;          // On CUDA.
  std::shared_ptr<UNet> classifier;    // Null: none.
};

// Whether the weights, and a step on the CPU by so many threads, fit into what a model may take
// (ModelMemoryLimit). Nothing is allocated for it. FAILED_PRECONDITION names the estimate, the
// limit, the flag and the fields that make it so large.
absl::Status CheckCpuModelMemory(const Checkpoint& checkpoint, int64_t threads,
                                 int64_t max_model_memory);
// The same of a step on CUDA, of a micro-batch of so many rows.
absl::Status CheckCudaModelMemory(const Checkpoint& checkpoint, int64_t rows,
                                  int64_t max_model_memory);

// For CPUs, or in memory that goes to CUDA. As CpuUNet::Create, LoadUNet and LoadClassifier.
absl::StatusOr<Networks> LoadCpuNetworks(const Checkpoint& checkpoint);
absl::StatusOr<Networks> LoadCudaNetworks(const Checkpoint& checkpoint);

// Runs plans on that many threads. Others may share the networks.
absl::StatusOr<std::unique_ptr<PlanRunner>> MakeCpuRunner(const Networks& networks, int threads);

// One step of the shortest plan, on every lane, with the classifier at its side or without.
// INVALID_ARGUMENT: what the network gives is not finite, or no variance.
absl::Status RunFirstStep(const CheckpointConfig& config, bool classify, PlanRunner* runner);

// All of these on this machine's CPU, with the memory that a server takes which has all its cores.
absl::Status CheckServable(const Checkpoint& checkpoint, int64_t max_model_memory);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_SERVABLE_H_
