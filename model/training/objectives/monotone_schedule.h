// A noise schedule that is learned: gamma(t) = -log SNR(t) as a monotone network (Kingma et al.
// 2021, appendix H).
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_MONOTONE_SCHEDULE_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_MONOTONE_SCHEDULE_H_

#include <torch/torch.h>

namespace diffusiond {

// gamma(t) = gamma_0 + (gamma_1 - gamma_0) (g(t) - g(0)) / (g(1) - g(0)), t in [0, 1], with
// g(t) = l_1(t) + l_3(sigmoid(l_2(l_1(t)))), whose weights are positive: softplus of what is
// stored. Near linear at first. The parameters are float32, what is computed float64.
// Thread-compatible.
class MonotoneSchedule : public torch::nn::Module {
 public:
  // gamma_0 < gamma_1: where the end points begin. They stay in kLeastGamma .. kMostGamma.
  MonotoneSchedule(double gamma_0, double gamma_1);

  // (g(t) - g(0)) / (g(1) - g(0)) of t [N] float64 -> [N], in 0 .. 1.
  torch::Tensor Shape(const torch::Tensor& t) const;

  torch::Tensor gamma_0() const;  // [1].
  torch::Tensor gamma_1() const;  // [1], above gamma_0.

  // gamma(t) [N]. Nothing is differentiated.
  torch::Tensor Gamma(const torch::Tensor& t) const;

 private:
  torch::Tensor Unscaled(const torch::Tensor& t) const;

  const double begin_0_, begin_1_;
  torch::Tensor moved_;         // [1]: how far gamma_0 is from where it began.
  torch::Tensor stretched_;     // [1]: the logarithm of how much wider the range is than then.
  torch::Tensor w1_, b1_;       // [1].
  torch::Tensor w2_, b2_, w3_;  // [kHidden].
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_MONOTONE_SCHEDULE_H_
