// The network of DDPM (Ho et al. 2020, appendix B) as diffusers' UNet2DModel: the same parameters
// under the same names, the same numbers.
#ifndef DIFFUSIOND_MODEL_UNET_UNET_H_
#define DIFFUSIOND_MODEL_UNET_UNET_H_

#include <torch/torch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/config/unet_config.h"
#include "model/unet/layers.h"
#include "model/unet/time_embedding.h"
#include "model/unet/unet_blocks.h"

namespace diffusiond {

// Thread-compatible; Forward is const and may run on several threads at once.
class UNet : public torch::nn::Module {
 public:
  // `config` must be valid (Validate). Parameter values are undefined until loaded or
  // ResetParameters.
  explicit UNet(const UNetConfig& config, const torch::TensorOptions& options = {});

  // x [B, in_channels, H, W]; timesteps [B], integer or fractional; class_labels [B] int64 if the
  // model has classes, else undefined. -> [B, out_channels, H, W].
  torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& timesteps,
                        const torch::Tensor& class_labels = {}) const;

  // Values to train from: uniform in +-1/sqrt(fan_in) as torch.nn does; the last layer of every
  // residual branch, and conv_out, zero (as the DDPM authors' code does). Depends on `seed` alone.
  void ResetParameters(uint64_t seed);

  // For training. Activations inside blocks are computed again in backward instead of kept: the
  // same gradients within rounding, less memory, about a third more time.
  void SetRecompute(bool recompute);
  // Products and convolutions in bfloat16; parameters, gradients and the result stay float32.
  void SetBf16(bool bf16) { bf16_ = bf16; }
  // Activations in channels-last layout, which a GPU's matrix units take as it is: the same numbers
  // within rounding. On a CPU slower.
  void SetChannelsLast(bool channels_last);
  // Whether convolutions may go by Winograd's filtering (winograd.h); without, they are LibTorch's.
  void SetWinograd(bool winograd);

  const UNetConfig& config() const { return config_; }

 private:
  torch::Tensor Compute(const torch::Tensor& x, const torch::Tensor& timesteps,
                        const torch::Tensor& class_labels) const;

  UNetConfig config_;
  bool bf16_ = false;
  std::shared_ptr<ConvLayer> conv_in_, conv_out_;
  std::shared_ptr<TimeEmbedding> time_embedding_;
  std::shared_ptr<EmbeddingLayer> class_embedding_;
  std::vector<std::shared_ptr<DownStage>> down_;
  std::shared_ptr<MidStage> mid_;
  std::vector<std::shared_ptr<UpStage>> up_;
  std::shared_ptr<GroupNormLayer> conv_norm_out_;
};

// Name and shape of every parameter of a network of `config`; no memory is taken for their values.
std::vector<std::pair<std::string, std::vector<int64_t>>> ParameterShapes(const UNetConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_UNET_H_
