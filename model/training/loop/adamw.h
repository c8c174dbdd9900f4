// The optimiser.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_ADAMW_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_ADAMW_H_

#include <torch/torch.h>

#include "model/training/run/training_state.h"

namespace diffusiond {

// One step of AdamW (Loshchilov and Hutter 2017, algorithm 2) with bias correction; state->step
// must already count this step. Where LibTorch has it as one kernel (2.0 and later, on GPUs), by
// that.
void AdamWStep(const torch::Tensor& gradient, double learning_rate, double weight_decay,
               TrainingState* state);

// The same in so many passes over the state, and in one. The latter needs HasFusedAdamW.
void AdamWStepByPasses(const torch::Tensor& gradient, double learning_rate, double weight_decay,
                       TrainingState* state);
void FusedAdamWStep(const torch::Tensor& gradient, double learning_rate, double weight_decay,
                    TrainingState* state);

// LibTorch 2.4 has it for CPUs too, where it is not used: resumed runs shall not depend on which
// LibTorch a CPU has.
bool HasFusedAdamW(torch::Device device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_ADAMW_H_
