#include "model/unet/layers.h"

namespace diffusiond {

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
  return torch::conv2d(x, weight, bias, stride_, padding_);
}

GroupNormLayer::GroupNormLayer(int64_t groups, int64_t channels, double eps,
                               const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({channels}, options))),
      bias(register_parameter("bias", torch::empty({channels}, options))),
      groups_(groups),
      eps_(eps) {}

torch::Tensor GroupNormLayer::Forward(const torch::Tensor& x) const {
  return torch::group_norm(x, groups_, weight, bias, eps_);
}

EmbeddingLayer::EmbeddingLayer(int64_t count, int64_t dim, const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({count, dim}, options))) {}

torch::Tensor EmbeddingLayer::Forward(const torch::Tensor& indices) const {
  return torch::embedding(weight, indices);
}

}  // namespace diffusiond
