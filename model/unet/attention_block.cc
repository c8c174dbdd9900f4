#include "model/unet/attention_block.h"

#include <cmath>

#include "model/unet/recompute.h"

namespace diffusiond {

AttentionBlock::AttentionBlock(const Options& options, const torch::TensorOptions& tensor_options)
    : options_(options) {
  const int64_t c = options.channels;
  if (options.groups.has_value()) {
    group_norm_ = register_module(
        "group_norm",
        std::make_shared<GroupNormLayer>(*options.groups, c, options.eps, tensor_options));
  }
  to_q_ = register_module("to_q", std::make_shared<LinearLayer>(c, c, tensor_options));
  to_k_ = register_module("to_k", std::make_shared<LinearLayer>(c, c, tensor_options));
  to_v_ = register_module("to_v", std::make_shared<LinearLayer>(c, c, tensor_options));
  torch::nn::ModuleList to_out;  // The key is "to_out.0": diffusers keeps a dropout beside it.
  to_out_ = std::make_shared<LinearLayer>(c, c, tensor_options);
  to_out->push_back(to_out_);
  register_module("to_out", to_out);
}

torch::Tensor AttentionBlock::Forward(const torch::Tensor& x) const {
  if (!recompute_) return Compute(x);
  return Recomputed([this](const torch::Tensor& a, const torch::Tensor&) { return Compute(a); }, x,
                    {});
}

torch::Tensor AttentionBlock::Compute(const torch::Tensor& x) const {
  const int64_t batch = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3);
  const int64_t head_dim = channels / options_.heads;
  const torch::Tensor normed = group_norm_ == nullptr ? x : group_norm_->Forward(x);
  const auto heads = [&](const torch::Tensor& y) {  // -> [B * heads, head_dim, pixels]
    return y.reshape({batch * options_.heads, head_dim, pixels});
  };
  const torch::Tensor q = heads(to_q_->ForwardChannels(normed));
  const torch::Tensor k = heads(to_k_->ForwardChannels(normed));
  const torch::Tensor v = heads(to_v_->ForwardChannels(normed));
  // bmm, not baddbmm: with beta = 0 the latter reads its uninitialised result on small matrices in
  // LibTorch 1.13 (pytorch issues 80588, 96037).
  const torch::Tensor scores =
      torch::bmm(q.transpose(1, 2) * (1 / std::sqrt(static_cast<double>(head_dim))), k);
  const torch::Tensor attended = torch::bmm(v, torch::softmax(scores, -1).transpose(1, 2));
  torch::Tensor y = to_out_->ForwardChannels(attended.reshape(x.sizes())) + x;
  return options_.output_scale_factor == 1 ? y : y / options_.output_scale_factor;
}

void AttentionBlock::ZeroLastLayer() {
  torch::NoGradGuard no_grad;
  to_out_->weight.zero_();
  to_out_->bias.zero_();
}

}  // namespace diffusiond
