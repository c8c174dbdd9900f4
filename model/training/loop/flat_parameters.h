// All of a network's parameters as one vector.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_FLAT_PARAMETERS_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_FLAT_PARAMETERS_H_

#include <torch/torch.h>

namespace diffusiond {

// Moves the module's parameters into one float32 vector [P], in the order of named_parameters();
// each parameter becomes a view of it. One pass then updates, averages or saves them all.
torch::Tensor FlattenParameters(torch::nn::Module* module);

// Gives every parameter a gradient that is a view of one zero vector [P]; backward adds into it.
torch::Tensor FlattenGradients(torch::nn::Module* module);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_FLAT_PARAMETERS_H_
