// diffusers' ResnetBlock2D: two normalised convolutions around the timestep, and a shortcut.
#ifndef DIFFUSIOND_MODEL_UNET_RESNET_BLOCK_H_
#define DIFFUSIOND_MODEL_UNET_RESNET_BLOCK_H_

#include <torch/torch.h>

#include <memory>

#include "model/unet/layers.h"

namespace diffusiond {

enum class Resample { kNone, kDown, kUp };

// h = conv1(resample(SiLU(norm1(x)))); the embedding is added, or scales and shifts norm2's output;
// h = conv2(dropout(SiLU(norm2(h)))); (resample(x) + h) / output_scale_factor, x through a 1x1
// convolution if the channel counts differ.
class ResnetBlock : public torch::nn::Module {
 public:
  struct Options {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t embedding_dim = 0;
    int64_t groups = 32;
    double eps = 1e-5;
    double dropout = 0;
    bool scale_shift = false;
    double output_scale_factor = 1;
    Resample resample = Resample::kNone;  // 2x2 average pooling, or nearest x2, on both branches.
  };

  ResnetBlock(const Options& options, const torch::TensorOptions& tensor_options);

  // x [B, in, H, W]; embedding [B, embedding_dim], before its SiLU. -> [B, out, H', W'].
  torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& embedding) const;

  // Sets conv2 to zero: the block starts as its shortcut.
  void ZeroLastLayer();

  // Whether Forward keeps what it computes inside for backward, or computes it again there.
  void SetRecompute(bool recompute) { recompute_ = recompute; }

 private:
  torch::Tensor Compute(const torch::Tensor& x, const torch::Tensor& embedding) const;

  Options options_;
  bool recompute_ = false;
  std::shared_ptr<GroupNormLayer> norm1_, norm2_;
  std::shared_ptr<ConvLayer> conv1_, conv2_, conv_shortcut_;
  std::shared_ptr<LinearLayer> time_emb_proj_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_RESNET_BLOCK_H_
