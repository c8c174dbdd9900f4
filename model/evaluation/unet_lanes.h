// A checkpoint's network, ready for whoever knows no tensors.
#ifndef DIFFUSIOND_MODEL_EVALUATION_UNET_LANES_H_
#define DIFFUSIOND_MODEL_EVALUATION_UNET_LANES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/plan_runner.h"

namespace diffusiond {

// One single-threaded lane a core, all on one copy of the weights. Errors as LoadUNet.
absl::StatusOr<std::unique_ptr<PlanRunner>> RunnerOnAllCores(const Checkpoint& checkpoint,
                                                             int micro_batch);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_UNET_LANES_H_
