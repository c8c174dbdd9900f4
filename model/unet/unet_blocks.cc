#include "model/unet/unet_blocks.h"

namespace diffusiond {
namespace {

// A resampling convolution under the key "0.conv", as diffusers' Downsample2D and Upsample2D have.
class NamedConv : public torch::nn::Module {
 public:
  explicit NamedConv(std::shared_ptr<ConvLayer> conv) { register_module("conv", std::move(conv)); }
};

std::shared_ptr<ResnetBlock> MakeResnet(const StageOptions& stage, int64_t in, int64_t out,
                                        Resample resample,
                                        const torch::TensorOptions& tensor_options) {
  ResnetBlock::Options options = stage.resnet;
  options.in_channels = in;
  options.out_channels = out;
  options.resample = resample;
  return std::make_shared<ResnetBlock>(options, tensor_options);
}

std::shared_ptr<AttentionBlock> MakeAttention(const StageOptions& stage,
                                              const torch::TensorOptions& tensor_options) {
  AttentionBlock::Options options = stage.attention;
  options.channels = stage.out_channels;
  return std::make_shared<AttentionBlock>(options, tensor_options);
}

template <typename T>
void RegisterList(torch::nn::Module* parent, const char* name,
                  const std::vector<std::shared_ptr<T>>& modules) {
  if (modules.empty()) return;
  torch::nn::ModuleList list;
  for (const auto& module : modules) list->push_back(module);
  parent->register_module(name, list);
}

}  // namespace

DownStage::DownStage(const StageOptions& options, const torch::TensorOptions& tensor_options)
    : downsample_padding_(options.downsample_padding) {
  const int64_t out = options.out_channels;
  for (int64_t i = 0; i < options.layers; ++i) {
    resnets_.push_back(MakeResnet(options, i == 0 ? options.in_channels : out, out, Resample::kNone,
                                  tensor_options));
    if (options.has_attention) attentions_.push_back(MakeAttention(options, tensor_options));
  }
  RegisterList(this, "attentions", attentions_);
  RegisterList(this, "resnets", resnets_);
  if (options.resample == ResampleLayer::kConv) {
    conv_downsampler_ =
        std::make_shared<ConvLayer>(out, out, 3, 2, options.downsample_padding, tensor_options);
    RegisterList<torch::nn::Module>(this, "downsamplers",
                                    {std::make_shared<NamedConv>(conv_downsampler_)});
  } else if (options.resample == ResampleLayer::kResnet) {
    resnet_downsampler_ = MakeResnet(options, out, out, Resample::kDown, tensor_options);
    RegisterList<torch::nn::Module>(this, "downsamplers", {resnet_downsampler_});
  }
}

torch::Tensor DownStage::Forward(torch::Tensor x, const torch::Tensor& embedding,
                                 std::vector<torch::Tensor>* skips) const {
  for (size_t i = 0; i < resnets_.size(); ++i) {
    x = resnets_[i]->Forward(x, embedding);
    if (!attentions_.empty()) x = attentions_[i]->Forward(x);
    skips->push_back(x);
  }
  if (conv_downsampler_ != nullptr) {
    if (downsample_padding_ == 0) x = torch::constant_pad_nd(x, {0, 1, 0, 1});
    x = conv_downsampler_->Forward(x);
    skips->push_back(x);
  } else if (resnet_downsampler_ != nullptr) {
    x = resnet_downsampler_->Forward(x, embedding);
    skips->push_back(x);
  }
  return x;
}

MidStage::MidStage(const StageOptions& options, const torch::TensorOptions& tensor_options) {
  for (int i = 0; i < 2; ++i) {
    resnets_.push_back(MakeResnet(options, options.in_channels, options.out_channels,
                                  Resample::kNone, tensor_options));
  }
  if (options.has_attention) {
    attention_ = MakeAttention(options, tensor_options);
    RegisterList<AttentionBlock>(this, "attentions", {attention_});
  }
  RegisterList(this, "resnets", resnets_);
}

torch::Tensor MidStage::Forward(const torch::Tensor& x, const torch::Tensor& embedding) const {
  torch::Tensor h = resnets_[0]->Forward(x, embedding);
  if (attention_ != nullptr) h = attention_->Forward(h);
  return resnets_[1]->Forward(h, embedding);
}

UpStage::UpStage(const StageOptions& options, const torch::TensorOptions& tensor_options) {
  const int64_t out = options.out_channels;
  for (int64_t i = 0; i < options.layers; ++i) {
    const int64_t current = i == 0 ? options.in_channels : out;
    const int64_t skip = i == options.layers - 1 ? options.skip_channels : out;
    resnets_.push_back(MakeResnet(options, current + skip, out, Resample::kNone, tensor_options));
    if (options.has_attention) attentions_.push_back(MakeAttention(options, tensor_options));
  }
  RegisterList(this, "attentions", attentions_);
  RegisterList(this, "resnets", resnets_);
  if (options.resample == ResampleLayer::kConv) {
    conv_upsampler_ = std::make_shared<ConvLayer>(out, out, 3, 1, 1, tensor_options);
    RegisterList<torch::nn::Module>(this, "upsamplers",
                                    {std::make_shared<NamedConv>(conv_upsampler_)});
  } else if (options.resample == ResampleLayer::kResnet) {
    resnet_upsampler_ = MakeResnet(options, out, out, Resample::kUp, tensor_options);
    RegisterList<torch::nn::Module>(this, "upsamplers", {resnet_upsampler_});
  }
}

torch::Tensor UpStage::Forward(torch::Tensor x, const torch::Tensor& embedding,
                               std::vector<torch::Tensor>* skips) const {
  for (size_t i = 0; i < resnets_.size(); ++i) {
    x = torch::cat({x, skips->back()}, 1);
    skips->pop_back();
    x = resnets_[i]->Forward(x, embedding);
    if (!attentions_.empty()) x = attentions_[i]->Forward(x);
  }
  if (conv_upsampler_ != nullptr) {
    x = conv_upsampler_->Forward(torch::upsample_nearest2d(x, {x.size(2) * 2, x.size(3) * 2}));
  } else if (resnet_upsampler_ != nullptr) {
    x = resnet_upsampler_->Forward(x, embedding);
  }
  return x;
}

}  // namespace diffusiond
