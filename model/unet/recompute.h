// Memory for time: what a block computes inside is forgotten, and computed again for its gradient
// (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").
#ifndef DIFFUSIOND_MODEL_UNET_RECOMPUTE_H_
#define DIFFUSIOND_MODEL_UNET_RECOMPUTE_H_

#include <torch/torch.h>

#include <functional>

namespace diffusiond {

// block(x, embedding), of which only the arguments are kept for backward; there `block` runs again,
// with the same random numbers and the same autocast, and must be there to run. An undefined
// `embedding` reaches it empty. The result is that of block(x, embedding), and so are the gradients
// within rounding: sums of them may be taken in another order. Without gradients nothing is kept.
torch::Tensor Recomputed(const std::function<torch::Tensor(const torch::Tensor& x,
                                                           const torch::Tensor& embedding)>& block,
                         const torch::Tensor& x, const torch::Tensor& embedding);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_RECOMPUTE_H_
