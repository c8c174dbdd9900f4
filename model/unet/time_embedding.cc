#include "model/unet/time_embedding.h"

#include <cmath>

namespace diffusiond {

torch::Tensor SinusoidalEmbedding(const torch::Tensor& timesteps, int64_t dim, bool flip_sin_to_cos,
                                  int64_t freq_shift) {
  const int64_t half = dim / 2;
  const auto options = torch::TensorOptions().dtype(torch::kFloat32).device(timesteps.device());
  const torch::Tensor exponent =
      torch::arange(half, options) * -std::log(10000.0) / static_cast<double>(half - freq_shift);
  // LibTorch's sine reduces all angles of one vector register in the way that the largest one
  // needs: two rows in one register would change each other's last bits. So each row fills whole
  // ones.
  const int64_t padding = (kVectorFloats - half % kVectorFloats) % kVectorFloats;
  const torch::Tensor frequencies = torch::constant_pad_nd(torch::exp(exponent), {0, padding});
  const torch::Tensor angles =
      timesteps.to(torch::kFloat32).unsqueeze(1) * frequencies.unsqueeze(0);
  const torch::Tensor sin = torch::sin(angles).narrow(1, 0, half);
  const torch::Tensor cos = torch::cos(angles).narrow(1, 0, half);
  torch::Tensor embedding = flip_sin_to_cos ? torch::cat({cos, sin}, 1) : torch::cat({sin, cos}, 1);
  if (dim % 2 == 1) embedding = torch::constant_pad_nd(embedding, {0, 1});
  return embedding;
}

TimeEmbedding::TimeEmbedding(int64_t in, int64_t dim, const torch::TensorOptions& options)
    : linear_1_(register_module("linear_1", std::make_shared<LinearLayer>(in, dim, options))),
      linear_2_(register_module("linear_2", std::make_shared<LinearLayer>(dim, dim, options))) {}

torch::Tensor TimeEmbedding::Forward(const torch::Tensor& x) const {
  return linear_2_->Forward(Silu(linear_1_->Forward(x)));
}

}  // namespace diffusiond
