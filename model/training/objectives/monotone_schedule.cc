#include "model/training/objectives/monotone_schedule.h"

#include <cmath>

#include "model/diffusion/trained_betas.h"

namespace diffusiond {
namespace {

constexpr int64_t kHidden = 1024;
// gamma_0 moves by so much for 1 of its parameter: optimisers move every parameter at about the
// same rate, and this has far to go.
constexpr double kMoveScale = 10;

torch::Tensor Positive(const torch::Tensor& stored) {
  return torch::softplus(stored.to(torch::kFloat64));
}

// What softplus gives `value`.
double Stored(double value) { return std::log(std::expm1(value)); }

}  // namespace

MonotoneSchedule::MonotoneSchedule(double gamma_0, double gamma_1)
    : begin_0_(gamma_0), begin_1_(gamma_1) {
  moved_ = register_parameter("moved", torch::zeros({1}));
  stretched_ = register_parameter("stretched", torch::zeros({1}));
  w1_ = register_parameter("w1", torch::full({1}, Stored(1)));
  b1_ = register_parameter("b1", torch::zeros({1}));
  // Sigmoids side by side over 0 .. 1, each over a fiftieth of it, in all as high as l_1.
  constexpr double kSlope = 100;
  w2_ = register_parameter("w2", torch::full({kHidden}, Stored(kSlope)));
  b2_ = register_parameter("b2", -kSlope * (torch::arange(kHidden, torch::kFloat32) + 0.5) /
                                     static_cast<double>(kHidden));
  w3_ = register_parameter("w3", torch::full({kHidden}, Stored(1 / static_cast<double>(kHidden))));
}

torch::Tensor MonotoneSchedule::gamma_0() const {
  return (begin_0_ + kMoveScale * moved_.to(torch::kFloat64)).clamp(kLeastGamma, kMostGamma - 1);
}

torch::Tensor MonotoneSchedule::gamma_1() const {
  const torch::Tensor range = (begin_1_ - begin_0_) * torch::exp(stretched_.to(torch::kFloat64));
  return (gamma_0() + range).clamp_max(kMostGamma);
}

torch::Tensor MonotoneSchedule::Unscaled(const torch::Tensor& t) const {
  const torch::Tensor first = Positive(w1_) * t + b1_.to(torch::kFloat64);
  const torch::Tensor hidden =
      torch::sigmoid(first.unsqueeze(1) * Positive(w2_) + b2_.to(torch::kFloat64));
  return first + hidden.matmul(Positive(w3_));
}

torch::Tensor MonotoneSchedule::Shape(const torch::Tensor& t) const {
  const torch::Tensor ends = torch::tensor({0.0, 1.0}, t.options());
  const torch::Tensor values = Unscaled(torch::cat({ends, t}));
  const torch::Tensor low = values.narrow(0, 0, 1), high = values.narrow(0, 1, 1);
  return (values.narrow(0, 2, t.numel()) - low) / (high - low);
}

torch::Tensor MonotoneSchedule::Gamma(const torch::Tensor& t) const {
  torch::NoGradGuard no_grad;
  return gamma_0() + (gamma_1() - gamma_0()) * Shape(t);
}

}  // namespace diffusiond
