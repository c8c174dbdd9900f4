#include "model/unet/time_embedding.h"

#include <cmath>

namespace diffusiond {

torch::Tensor SinusoidalEmbedding(const torch::Tensor& timesteps, int64_t dim, bool flip_sin_to_cos,
                                  int64_t freq_shift) {
  const int64_t half = dim / 2;
  const auto options = torch::TensorOptions().dtype(torch::kFloat32).device(timesteps.device());
  const torch::Tensor exponent =
      torch::arange(half, options) * -std::log(10000.0) / static_cast<double>(half - freq_shift);
  const torch::Tensor angles =
      timesteps.to(torch::kFloat32).unsqueeze(1) * torch::exp(exponent).unsqueeze(0);
  const torch::Tensor sin = torch::sin(angles);
  const torch::Tensor cos = torch::cos(angles);
  torch::Tensor embedding = flip_sin_to_cos ? torch::cat({cos, sin}, 1) : torch::cat({sin, cos}, 1);
  if (dim % 2 == 1) embedding = torch::constant_pad_nd(embedding, {0, 1});
  return embedding;
}

TimeEmbedding::TimeEmbedding(int64_t in, int64_t dim, const torch::TensorOptions& options)
    : linear_1_(register_module("linear_1", std::make_shared<LinearLayer>(in, dim, options))),
      linear_2_(register_module("linear_2", std::make_shared<LinearLayer>(dim, dim, options))) {}

torch::Tensor TimeEmbedding::Forward(const torch::Tensor& x) const {
  return linear_2_->Forward(torch::silu(linear_1_->Forward(x)));
}

}  // namespace diffusiond
