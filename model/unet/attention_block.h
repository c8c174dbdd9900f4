// diffusers' Attention as UNet2DModel uses it: self-attention over the pixels of a feature map.
#ifndef DIFFUSIOND_MODEL_UNET_ATTENTION_BLOCK_H_
#define DIFFUSIOND_MODEL_UNET_ATTENTION_BLOCK_H_

#include <torch/torch.h>

#include <memory>
#include <optional>

#include "model/unet/layers.h"

namespace diffusiond {

class AttentionBlock : public torch::nn::Module {
 public:
  struct Options {
    int64_t channels = 0;
    int64_t heads = 1;              // Divides channels; channel = head * (channels/heads) + d.
    std::optional<int64_t> groups;  // Absent: no group norm.
    double eps = 1e-5;
    double output_scale_factor = 1;
  };

  AttentionBlock(const Options& options, const torch::TensorOptions& tensor_options);

  // [B, C, H, W] -> the same shape: (x + to_out(softmax(q k^T / sqrt(C/heads)) v)) / scale factor.
  torch::Tensor Forward(const torch::Tensor& x) const;

  // Sets to_out to zero: the block starts as the identity.
  void ZeroLastLayer();

  // As ResnetBlock's.
  void SetRecompute(bool recompute) { recompute_ = recompute; }

 private:
  torch::Tensor Compute(const torch::Tensor& x) const;

  Options options_;
  bool recompute_ = false;
  std::shared_ptr<GroupNormLayer> group_norm_;
  std::shared_ptr<LinearLayer> to_q_, to_k_, to_v_, to_out_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_ATTENTION_BLOCK_H_
