#include "model/unet/layers.h"

#include "model/unet/autocast.h"
#include "model/unet/winograd.h"

namespace diffusiond {

torch::Tensor Silu(const torch::Tensor& x) {
  const int64_t left_over = x.numel() / x.size(0) % kVectorFloats;
  if (left_over == 0) return torch::silu(x);
  const torch::Tensor rows = x.flatten(1);
  const torch::Tensor padded = torch::constant_pad_nd(rows, {0, kVectorFloats - left_over});
  return torch::silu(padded).narrow(1, 0, rows.size(1)).reshape(x.sizes());
}

LinearLayer::LinearLayer(int64_t in, int64_t out, const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({out, in}, options))),
      bias(register_parameter("bias", torch::empty({out}, options))) {}

torch::Tensor LinearLayer::Forward(const torch::Tensor& x) const {
  return torch::linear(x, weight, bias);
}

torch::Tensor LinearLayer::ForwardChannels(const torch::Tensor& x) const {
  return torch::conv2d(x, weight.unsqueeze(-1).unsqueeze(-1), bias);
}

ConvLayer::ConvLayer(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                     const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({out, in, kernel, kernel}, options))),
      bias(register_parameter("bias", torch::empty({out}, options))),
      stride_(stride),
      padding_(padding) {}

torch::Tensor ConvLayer::Forward(const torch::Tensor& x) const {
  if (stride_ == 1 && padding_ == 1 && !AutocastGuard::Enabled(x.device().type()) &&
      SuitsWinograd(x, weight)) {
    return WinogradConvolution(x, weight, bias);
  }
  return torch::conv2d(x, weight, bias, stride_, padding_);
}

GroupNormLayer::GroupNormLayer(int64_t groups, int64_t channels, double eps,
                               const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({channels}, options))),
      bias(register_parameter("bias", torch::empty({channels}, options))),
      groups_(groups),
      eps_(eps) {}

torch::Tensor GroupNormLayer::Forward(const torch::Tensor& x) const {
  // Under autocast x may be bfloat16, and its statistics must not be.
  return torch::group_norm(x.to(weight.scalar_type()), groups_, weight, bias, eps_);
}

EmbeddingLayer::EmbeddingLayer(int64_t count, int64_t dim, const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({count, dim}, options))) {}

torch::Tensor EmbeddingLayer::Forward(const torch::Tensor& indices) const {
  return torch::embedding(weight, indices);
}

}  // namespace diffusiond
