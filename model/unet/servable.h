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

class UNet;

// A checkpoint's weights on one device, or those that all lanes of the CPU read.
struct Networks {
  std::shared_ptr<UNet> unet;
  std::shared_ptr<UNet> classifier;  // Null: none.
};

// Whether the weights, and a step of so many micro-batches of so many rows at once, fit into what a
// model may take (ModelMemoryLimit). Nothing is allocated for it. FAILED_PRECONDITION names the
// estimate, the limit, the flag and the fields that make it so large.
absl::Status CheckModelMemory(const Checkpoint& checkpoint, int64_t rows, int64_t lanes,
                              int64_t max_model_memory);

// As LoadUNet and LoadClassifier.
absl::StatusOr<Networks> LoadNetworks(const Checkpoint& checkpoint);

// One step of the shortest plan, on every lane, with the classifier at its side or without.
// INVALID_ARGUMENT: what the network gives is not finite, or no variance.
absl::Status RunFirstStep(const CheckpointConfig& config, bool classify, PlanRunner* runner);

// All of these on this machine's CPU, with the memory that a server takes which has all its cores.
absl::Status CheckServable(const Checkpoint& checkpoint, int64_t max_model_memory);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_SERVABLE_H_
