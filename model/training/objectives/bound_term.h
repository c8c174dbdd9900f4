// L_t of the variational bound (variational_bound.h) as something to differentiate: what a network
// that learns its variance is trained on (Nichol and Dhariwal 2021, section 3.1).
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_BOUND_TERM_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_BOUND_TERM_H_

#include <torch/torch.h>

#include "model/diffusion/variational_bound.h"

namespace diffusiond {

// Of the learned_range variance: log sigma_t^2 = u log beta_t + (1 - u) log beta_tilde_t with
// u = (v + 1) / 2 (equation 15). Immutable.
class BoundTerm {
 public:
  BoundTerm(const VariationalBound& bound, torch::Device device);

  // L_t [B] in bits per dimension: the KL divergence of equation 5 of Ho et al. 2020, and at t = 0
  // the decoder. timesteps [B] int64; x0, x0_hat and v [B, C, H, W].
  torch::Tensor Bits(const torch::Tensor& timesteps, const torch::Tensor& x0,
                     const torch::Tensor& x0_hat, const torch::Tensor& v) const;

 private:
  torch::Tensor mean_x0_, log_posterior_, log_beta_;  // [T], of VariationalBound::Step.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_BOUND_TERM_H_
