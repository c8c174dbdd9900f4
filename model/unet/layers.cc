#include "model/unet/layers.h"

#include <vector>

#include "model/unet/autocast.h"
#include "model/unet/winograd.h"

namespace diffusiond {
namespace {

bool IsChannelsLast(const torch::Tensor& x) {
  return x.is_contiguous(torch::MemoryFormat::ChannelsLast) && !x.is_contiguous();
}

// A convolution with input and result in that layout. The weights need not be: what takes them to
// it is small beside the images.
torch::Tensor ChannelsLastConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                      const torch::Tensor& bias, int64_t stride, int64_t padding) {
  return torch::conv2d(x.contiguous(torch::MemoryFormat::ChannelsLast), weight, bias, stride,
                       padding)
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

// LibTorch's own on a GPU takes x out of that layout. Two passes over x: its moments, and
// scale x + shift.
torch::Tensor ChannelsLastGroupNorm(const torch::Tensor& x, int64_t groups,
                                    const torch::Tensor& weight, const torch::Tensor& bias,
                                    double eps) {
  const int64_t in_group = x.size(1) / groups;
  const torch::Tensor pixels =
      x.permute({0, 2, 3, 1}).view({x.size(0), x.size(2) * x.size(3), groups, in_group});
  const auto [variance, mean] = torch::var_mean(pixels, std::vector<int64_t>{1, 3},
                                                /*unbiased=*/false, /*keepdim=*/true);
  const torch::Tensor scale = torch::rsqrt(variance + eps) * weight.view({1, 1, groups, in_group});
  const torch::Tensor shift = bias.view({1, 1, groups, in_group}) - mean * scale;
  return torch::addcmul(shift, pixels, scale)
      .view({x.size(0), x.size(2), x.size(3), x.size(1)})
      .permute({0, 3, 1, 2});
}

}  // namespace

torch::Tensor Silu(const torch::Tensor& x) {
  const int64_t left_over = x.numel() / x.size(0) % kVectorFloats;
  if (left_over == 0 || !x.device().is_cpu()) return torch::silu(x);
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
  const torch::Tensor kernel = weight.unsqueeze(-1).unsqueeze(-1);
  return channels_last_ ? ChannelsLastConvolution(x, kernel, bias, 1, 0)
                        : torch::conv2d(x, kernel, bias);
}

ConvLayer::ConvLayer(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                     const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({out, in, kernel, kernel}, options))),
      bias(register_parameter("bias", torch::empty({out}, options))),
      stride_(stride),
      padding_(padding) {}

torch::Tensor ConvLayer::Forward(const torch::Tensor& x) const {
  if (channels_last_) return ChannelsLastConvolution(x, weight, bias, stride_, padding_);
  if (winograd_ && stride_ == 1 && padding_ == 1 && !AutocastGuard::Enabled(x.device().type()) &&
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
  const torch::Tensor values = x.to(weight.scalar_type());
  return IsChannelsLast(values) ? ChannelsLastGroupNorm(values, groups_, weight, bias, eps_)
                                : torch::group_norm(values, groups_, weight, bias, eps_);
}

EmbeddingLayer::EmbeddingLayer(int64_t count, int64_t dim, const torch::TensorOptions& options)
    : weight(register_parameter("weight", torch::empty({count, dim}, options))) {}

torch::Tensor EmbeddingLayer::Forward(const torch::Tensor& indices) const {
  return torch::embedding(weight, indices);
}

}  // namespace diffusiond
