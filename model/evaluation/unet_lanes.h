// A checkpoint's network, ready for whoever knows no tensors.
#ifndef DIFFUSIOND_MODEL_EVALUATION_UNET_LANES_H_
#define DIFFUSIOND_MODEL_EVALUATION_UNET_LANES_H_

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/evaluation/network_vjp.h"
#include "model/sampling/plan_runner.h"

namespace diffusiond {

// On a GPU one lane of micro-batches; on CPUs any number of rows on all cores. Errors as LoadUNet.
absl::StatusOr<std::unique_ptr<PlanRunner>> RunnerOf(const Checkpoint& checkpoint, int micro_batch,
                                                     torch::Device device);
// On a GPU one lane; on CPUs a single-threaded one a core, all on one copy of the weights.
absl::StatusOr<std::vector<std::unique_ptr<NetworkVjp>>> VjpLanesOf(const Checkpoint& checkpoint,
                                                                    int rows, torch::Device device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_UNET_LANES_H_
