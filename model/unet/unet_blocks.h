// The three kinds of stage of a UNet2DModel: down, middle, up.
//
// One class serves all of diffusers' block types, which differ in two switches only: whether every
// residual block is followed by attention, and what changes the resolution at the stage's end.
#ifndef DIFFUSIOND_MODEL_UNET_UNET_BLOCKS_H_
#define DIFFUSIOND_MODEL_UNET_UNET_BLOCKS_H_

#include <torch/torch.h>

#include <memory>
#include <optional>
#include <vector>

#include "model/config/unet_config.h"
#include "model/unet/attention_block.h"
#include "model/unet/layers.h"
#include "model/unet/resnet_block.h"

namespace diffusiond {

enum class ResampleLayer { kNone, kConv, kResnet };

// What one stage is made of. `resnet` and `attention` are the options all its blocks share;
// channel counts in them are overwritten.
struct StageOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t skip_channels = 0;  // Up stages: channels of the stage below's input, see UpStage.
  int64_t layers = 0;
  bool has_attention = false;
  ResampleLayer resample = ResampleLayer::kNone;
  int64_t downsample_padding = 1;  // 0: one zero column right and one zero row below.
  ResnetBlock::Options resnet;
  AttentionBlock::Options attention;
};

// DownBlock2D, AttnDownBlock2D, ResnetDownsampleBlock2D.
class DownStage : public torch::nn::Module {
 public:
  DownStage(const StageOptions& options, const torch::TensorOptions& tensor_options);

  // Appends every block's output, and the downsampled one if any, to `skips`; returns the last.
  torch::Tensor Forward(torch::Tensor x, const torch::Tensor& embedding,
                        std::vector<torch::Tensor>* skips) const;

 private:
  int64_t downsample_padding_;
  std::vector<std::shared_ptr<ResnetBlock>> resnets_;
  std::vector<std::shared_ptr<AttentionBlock>> attentions_;
  std::shared_ptr<ConvLayer> conv_downsampler_;
  std::shared_ptr<ResnetBlock> resnet_downsampler_;
};

// UNetMidBlock2D: a residual block, attention if asked for, a residual block.
class MidStage : public torch::nn::Module {
 public:
  MidStage(const StageOptions& options, const torch::TensorOptions& tensor_options);
  torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& embedding) const;

 private:
  std::vector<std::shared_ptr<ResnetBlock>> resnets_;
  std::shared_ptr<AttentionBlock> attention_;
};

// UpBlock2D, AttnUpBlock2D, ResnetUpsampleBlock2D. Each residual block takes the current tensor
// with the last of `skips` after it. The first takes in_channels, the others out_channels; the skip
// has out_channels, the last one skip_channels.
class UpStage : public torch::nn::Module {
 public:
  UpStage(const StageOptions& options, const torch::TensorOptions& tensor_options);
  torch::Tensor Forward(torch::Tensor x, const torch::Tensor& embedding,
                        std::vector<torch::Tensor>* skips) const;

 private:
  std::vector<std::shared_ptr<ResnetBlock>> resnets_;
  std::vector<std::shared_ptr<AttentionBlock>> attentions_;
  std::shared_ptr<ConvLayer> conv_upsampler_;
  std::shared_ptr<ResnetBlock> resnet_upsampler_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_UNET_BLOCKS_H_
