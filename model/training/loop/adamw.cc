#include "model/training/loop/adamw.h"

#include <torch/version.h>

#include <cmath>
#include <vector>

namespace diffusiond {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

}  // namespace

void AdamWStepByPasses(const torch::Tensor& gradient, double learning_rate, double weight_decay,
                       TrainingState* state) {
  torch::NoGradGuard no_grad;
  const double step = static_cast<double>(state->updates());
  state->first_moment.lerp_(gradient, 1 - kBeta1);
  state->second_moment.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
  const double m_scale = 1 / (1 - std::pow(kBeta1, step));
  const double v_scale = 1 / (1 - std::pow(kBeta2, step));
  const torch::Tensor denominator =
      state->second_moment.sqrt().mul_(std::sqrt(v_scale)).add_(kEpsilon);
  state->parameters.mul_(1 - learning_rate * weight_decay);
  state->parameters.addcdiv_(state->first_moment, denominator, -learning_rate * m_scale);
}

#if TORCH_VERSION_MAJOR >= 2

bool HasFusedAdamW(torch::Device device) {
  constexpr bool kOnCpu = TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 4;
  return device.is_cuda() || (kOnCpu && device.is_cpu());
}

void FusedAdamWStep(const torch::Tensor& gradient, double learning_rate, double weight_decay,
                    TrainingState* state) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> parameters = {state->parameters}, gradients = {gradient};
  std::vector<torch::Tensor> first = {state->first_moment}, second = {state->second_moment};
  const std::vector<torch::Tensor> steps = {
      torch::full({}, static_cast<double>(state->updates()), gradient.options())};
  at::_fused_adamw_(parameters, gradients, first, second, /*max_exp_avg_sqs=*/{}, steps,
                    learning_rate, kBeta1, kBeta2, weight_decay, kEpsilon, /*amsgrad=*/false,
                    /*maximize=*/false);
}

#else

bool HasFusedAdamW(torch::Device) { return false; }

void FusedAdamWStep(const torch::Tensor&, double, double, TrainingState*) {
  TORCH_CHECK(false, "LibTorch 1.13 has no fused AdamW");
}

#endif

void AdamWStep(const torch::Tensor& gradient, double learning_rate, double weight_decay,
               TrainingState* state) {
  if (gradient.is_cuda() && HasFusedAdamW(gradient.device())) {
    FusedAdamWStep(gradient, learning_rate, weight_decay, state);
  } else {
    AdamWStepByPasses(gradient, learning_rate, weight_decay, state);
  }
}

}  // namespace diffusiond
