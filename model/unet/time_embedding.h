// Tells the network the timestep.
#ifndef DIFFUSIOND_MODEL_UNET_TIME_EMBEDDING_H_
#define DIFFUSIOND_MODEL_UNET_TIME_EMBEDDING_H_

#include <torch/torch.h>

#include <memory>

#include "model/unet/layers.h"

namespace diffusiond {

// Sinusoidal embedding (Vaswani et al. 2017, section 3.5) of timesteps [B] float32, fractional ones
// included: angles t * exp(-ln(10000) * k / (dim/2 - freq_shift)), k = 0 .. dim/2 - 1; [sin, cos],
// or [cos, sin] if flipped. -> [B, dim].
torch::Tensor SinusoidalEmbedding(const torch::Tensor& timesteps, int64_t dim, bool flip_sin_to_cos,
                                  int64_t freq_shift);

// linear_1, SiLU, linear_2.
class TimeEmbedding : public torch::nn::Module {
 public:
  TimeEmbedding(int64_t in, int64_t dim, const torch::TensorOptions& options);
  torch::Tensor Forward(const torch::Tensor& x) const;

 private:
  std::shared_ptr<LinearLayer> linear_1_, linear_2_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_TIME_EMBEDDING_H_
