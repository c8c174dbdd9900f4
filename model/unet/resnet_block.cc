#include "model/unet/resnet_block.h"

#include <vector>

#include "model/unet/recompute.h"

namespace diffusiond {
namespace {

torch::Tensor Resampled(const torch::Tensor& x, Resample resample) {
  switch (resample) {
    case Resample::kDown:
      return torch::avg_pool2d(x, 2, 2);
    case Resample::kUp:
      return torch::upsample_nearest2d(x, {x.size(2) * 2, x.size(3) * 2});
    case Resample::kNone:
      break;
  }
  return x;
}

}  // namespace

ResnetBlock::ResnetBlock(const Options& options, const torch::TensorOptions& tensor_options)
    : options_(options) {
  const auto& o = options;
  norm1_ = register_module(
      "norm1", std::make_shared<GroupNormLayer>(o.groups, o.in_channels, o.eps, tensor_options));
  conv1_ = register_module(
      "conv1", std::make_shared<ConvLayer>(o.in_channels, o.out_channels, 3, 1, 1, tensor_options));
  const int64_t projected = o.scale_shift ? 2 * o.out_channels : o.out_channels;
  time_emb_proj_ = register_module(
      "time_emb_proj", std::make_shared<LinearLayer>(o.embedding_dim, projected, tensor_options));
  norm2_ = register_module(
      "norm2", std::make_shared<GroupNormLayer>(o.groups, o.out_channels, o.eps, tensor_options));
  conv2_ = register_module("conv2", std::make_shared<ConvLayer>(o.out_channels, o.out_channels, 3,
                                                                1, 1, tensor_options));
  if (o.in_channels != o.out_channels) {
    conv_shortcut_ = register_module(
        "conv_shortcut",
        std::make_shared<ConvLayer>(o.in_channels, o.out_channels, 1, 1, 0, tensor_options));
  }
}

torch::Tensor ResnetBlock::Forward(const torch::Tensor& x, const torch::Tensor& embedding) const {
  if (!recompute_) return Compute(x, embedding);
  return Recomputed(
      [this](const torch::Tensor& a, const torch::Tensor& b) { return Compute(a, b); }, x,
      embedding);
}

torch::Tensor ResnetBlock::Compute(const torch::Tensor& x, const torch::Tensor& embedding) const {
  torch::Tensor h = Resampled(Silu(norm1_->Forward(x)), options_.resample);
  h = conv1_->Forward(h);
  const torch::Tensor projected =
      time_emb_proj_->Forward(Silu(embedding)).unsqueeze(-1).unsqueeze(-1);
  if (options_.scale_shift) {
    const std::vector<torch::Tensor> scale_and_shift = projected.chunk(2, 1);
    h = norm2_->Forward(h) * (1 + scale_and_shift[0]) + scale_and_shift[1];
  } else {
    h = norm2_->Forward(h + projected);
  }
  h = Silu(h);
  if (options_.dropout > 0 && is_training()) h = torch::dropout(h, options_.dropout, true);
  h = conv2_->Forward(h);

  torch::Tensor shortcut = Resampled(x, options_.resample);
  if (conv_shortcut_ != nullptr) shortcut = conv_shortcut_->Forward(shortcut);
  h = shortcut + h;
  return options_.output_scale_factor == 1 ? h : h / options_.output_scale_factor;
}

void ResnetBlock::ZeroLastLayer() {
  torch::NoGradGuard no_grad;
  conv2_->weight.zero_();
  conv2_->bias.zero_();
}

}  // namespace diffusiond
