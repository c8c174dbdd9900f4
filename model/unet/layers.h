// The few layers a U-Net is made of, with the parameter names and shapes of torch.nn.
//
// Unlike torch::nn's, they are built where `options` say, the meta device included, and leave their
// values undefined: a network's parameter list is known without memory, and loading a checkpoint
// does not pay for an initialisation it throws away. Training calls ResetParameters.
#ifndef DIFFUSIOND_MODEL_UNET_LAYERS_H_
#define DIFFUSIOND_MODEL_UNET_LAYERS_H_

#include <torch/torch.h>

namespace diffusiond {

// Values that LibTorch's elementwise kernels on a CPU take in one go: two of the widest registers.
inline constexpr int64_t kVectorFloats = 32;

// SiLU, row by row of [B, ...] the same bytes wherever the row stands: on a CPU, torch::silu
// computes what is left over at a tensor's end by another exponential.
torch::Tensor Silu(const torch::Tensor& x);

// y = W x + b over the last dimension. weight [out, in], bias [out].
class LinearLayer : public torch::nn::Module {
 public:
  LinearLayer(int64_t in, int64_t out, const torch::TensorOptions& options);
  torch::Tensor Forward(const torch::Tensor& x) const;
  // The same weights over the channels of [B, C, H, W], as a 1x1 convolution: a row's result does
  // not depend on the other rows, which a product over flattened tokens cannot promise.
  torch::Tensor ForwardChannels(const torch::Tensor& x) const;
  // As ConvLayer's, of ForwardChannels.
  void SetChannelsLast(bool channels_last) { channels_last_ = channels_last; }

  torch::Tensor weight, bias;

 private:
  bool channels_last_ = false;
};

// 2-D convolution. weight [out, in, kernel, kernel], bias [out].
class ConvLayer : public torch::nn::Module {
 public:
  ConvLayer(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
            const torch::TensorOptions& options);
  torch::Tensor Forward(const torch::Tensor& x) const;
  // Takes and gives images whose channels lie beside each other in memory.
  void SetChannelsLast(bool channels_last) { channels_last_ = channels_last; }
  void SetWinograd(bool winograd) { winograd_ = winograd; }

  torch::Tensor weight, bias;

 private:
  int64_t stride_;
  int64_t padding_;
  bool channels_last_ = false;
  bool winograd_ = true;
};

// Group normalisation (Wu and He 2018). weight [channels], bias [channels]. The result lies in
// memory as x does.
class GroupNormLayer : public torch::nn::Module {
 public:
  GroupNormLayer(int64_t groups, int64_t channels, double eps, const torch::TensorOptions& options);
  torch::Tensor Forward(const torch::Tensor& x) const;

  torch::Tensor weight, bias;

 private:
  int64_t groups_;
  double eps_;
};

// A table of vectors. weight [count, dim].
class EmbeddingLayer : public torch::nn::Module {
 public:
  EmbeddingLayer(int64_t count, int64_t dim, const torch::TensorOptions& options);
  torch::Tensor Forward(const torch::Tensor& indices) const;

  torch::Tensor weight;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_LAYERS_H_
