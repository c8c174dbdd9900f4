#include "model/unet/unet.h"

#include <cmath>

#include "model/unet/autocast.h"

namespace diffusiond {
namespace {

bool HasAttention(const std::string& block_type) { return block_type.rfind("Attn", 0) == 0; }

// downsample_type and upsample_type act in attention blocks only; ResnetDownsampleBlock2D and
// ResnetUpsampleBlock2D always resample by a residual block, the plain blocks by a convolution.
ResampleLayer ResampleOf(const std::string& block_type, const std::string& attention_kind) {
  if (block_type.rfind("Resnet", 0) == 0) return ResampleLayer::kResnet;
  if (HasAttention(block_type) && attention_kind == "resnet") return ResampleLayer::kResnet;
  return ResampleLayer::kConv;
}

// What all stages share; `channels` are the stage's attention channels.
StageOptions SharedOptions(const UNetConfig& config, int64_t channels) {
  StageOptions stage;
  stage.downsample_padding = config.downsample_padding;
  stage.resnet.embedding_dim = 4 * config.block_out_channels[0];
  stage.resnet.groups = config.norm_num_groups;
  stage.resnet.eps = config.norm_eps;
  stage.resnet.dropout = config.dropout;
  stage.resnet.scale_shift = config.resnet_time_scale_shift == "scale_shift";
  stage.attention.heads = channels / config.attention_head_dim.value_or(channels);
  stage.attention.groups = config.norm_num_groups;
  stage.attention.eps = config.norm_eps;
  return stage;
}

StageOptions MidOptions(const UNetConfig& config) {
  const int64_t channels = config.block_out_channels.back();
  StageOptions stage = SharedOptions(config, channels);
  stage.in_channels = stage.out_channels = channels;
  stage.has_attention = config.add_attention;
  stage.resnet.output_scale_factor = config.mid_block_scale_factor;
  stage.attention.output_scale_factor = config.mid_block_scale_factor;
  if (config.attn_norm_num_groups.has_value()) {
    stage.attention.groups = config.attn_norm_num_groups;
  } else if (stage.resnet.scale_shift) {
    stage.attention.groups.reset();
  }
  return stage;
}

void InitializeUniform(torch::Tensor weight, torch::Tensor bias, torch::Generator generator) {
  const double fan_in = static_cast<double>(weight.numel() / weight.size(0));
  const double bound = 1 / std::sqrt(fan_in);
  weight.uniform_(-bound, bound, generator);
  bias.uniform_(-bound, bound, generator);
}

}  // namespace

UNet::UNet(const UNetConfig& config, const torch::TensorOptions& options) : config_(config) {
  const std::vector<int64_t>& channels = config.block_out_channels;
  const int64_t embedding_dim = 4 * channels[0];
  conv_in_ = register_module(
      "conv_in", std::make_shared<ConvLayer>(config.in_channels, channels[0], 3, 1, 1, options));
  time_embedding_ = register_module(
      "time_embedding", std::make_shared<TimeEmbedding>(channels[0], embedding_dim, options));
  if (config.num_class_embeds.has_value()) {
    class_embedding_ = register_module(
        "class_embedding",
        std::make_shared<EmbeddingLayer>(*config.num_class_embeds, embedding_dim, options));
  }

  const size_t stages = channels.size();
  torch::nn::ModuleList down_blocks;
  for (size_t i = 0; i < stages; ++i) {
    const std::string& type = config.down_block_types[i];
    StageOptions stage = SharedOptions(config, channels[i]);
    stage.in_channels = i == 0 ? channels[0] : channels[i - 1];
    stage.out_channels = channels[i];
    stage.layers = config.layers_per_block;
    stage.has_attention = HasAttention(type);
    stage.resample =
        i + 1 == stages ? ResampleLayer::kNone : ResampleOf(type, config.downsample_type);
    down_.push_back(std::make_shared<DownStage>(stage, options));
    down_blocks->push_back(down_.back());
  }
  register_module("down_blocks", down_blocks);

  mid_ = register_module("mid_block", std::make_shared<MidStage>(MidOptions(config), options));

  torch::nn::ModuleList up_blocks;
  for (size_t i = 0; i < stages; ++i) {
    const std::string& type = config.up_block_types[i];
    const size_t level = stages - 1 - i;
    StageOptions stage = SharedOptions(config, channels[level]);
    stage.in_channels = i == 0 ? channels[level] : channels[level + 1];
    stage.out_channels = channels[level];
    stage.skip_channels = channels[level == 0 ? 0 : level - 1];
    stage.layers = config.layers_per_block + 1;
    stage.has_attention = HasAttention(type);
    stage.resample =
        i + 1 == stages ? ResampleLayer::kNone : ResampleOf(type, config.upsample_type);
    up_.push_back(std::make_shared<UpStage>(stage, options));
    up_blocks->push_back(up_.back());
  }
  register_module("up_blocks", up_blocks);

  conv_norm_out_ = register_module(
      "conv_norm_out", std::make_shared<GroupNormLayer>(config.norm_num_groups, channels[0],
                                                        config.norm_eps, options));
  conv_out_ = register_module(
      "conv_out", std::make_shared<ConvLayer>(channels[0], config.out_channels, 3, 1, 1, options));
}

torch::Tensor UNet::Forward(const torch::Tensor& x, const torch::Tensor& timesteps,
                            const torch::Tensor& class_labels) const {
  if (!bf16_) return Compute(x, timesteps, class_labels);
  AutocastGuard autocast(x.device().type(), true);
  return Compute(x, timesteps, class_labels).to(x.scalar_type());
}

void UNet::SetRecompute(bool recompute) {
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* resnet = module->as<ResnetBlock>()) resnet->SetRecompute(recompute);
    if (auto* attention = module->as<AttentionBlock>()) attention->SetRecompute(recompute);
  }
}

void UNet::SetChannelsLast(bool channels_last) {
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* conv = module->as<ConvLayer>()) conv->SetChannelsLast(channels_last);
    if (auto* linear = module->as<LinearLayer>()) linear->SetChannelsLast(channels_last);
  }
}

void UNet::SetWinograd(bool winograd) {
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* conv = module->as<ConvLayer>()) conv->SetWinograd(winograd);
  }
}

torch::Tensor UNet::Compute(const torch::Tensor& x, const torch::Tensor& timesteps,
                            const torch::Tensor& class_labels) const {
  torch::Tensor embedding =
      time_embedding_->Forward(SinusoidalEmbedding(timesteps, config_.block_out_channels[0],
                                                   config_.flip_sin_to_cos, config_.freq_shift)
                                   .to(x.scalar_type()));
  if (class_embedding_ != nullptr) {
    embedding = embedding + class_embedding_->Forward(class_labels);
  }

  torch::Tensor h = conv_in_->Forward(config_.center_input_sample ? 2 * x - 1 : x);
  std::vector<torch::Tensor> skips = {h};
  for (const auto& stage : down_) h = stage->Forward(h, embedding, &skips);
  h = mid_->Forward(h, embedding);
  for (const auto& stage : up_) h = stage->Forward(h, embedding, &skips);
  return conv_out_->Forward(Silu(conv_norm_out_->Forward(h)));
}

void UNet::ResetParameters(uint64_t seed) {
  torch::NoGradGuard no_grad;
  torch::Generator generator = torch::make_generator<torch::CPUGeneratorImpl>(seed);
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* linear = module->as<LinearLayer>()) {
      InitializeUniform(linear->weight, linear->bias, generator);
    } else if (auto* conv = module->as<ConvLayer>()) {
      InitializeUniform(conv->weight, conv->bias, generator);
    } else if (auto* norm = module->as<GroupNormLayer>()) {
      norm->weight.fill_(1);
      norm->bias.zero_();
    } else if (auto* embedding = module->as<EmbeddingLayer>()) {
      embedding->weight.normal_(0, 1, generator);
    }
  }
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* resnet = module->as<ResnetBlock>()) resnet->ZeroLastLayer();
    if (auto* attention = module->as<AttentionBlock>()) attention->ZeroLastLayer();
  }
  conv_out_->weight.zero_();
  conv_out_->bias.zero_();
}

std::vector<std::pair<std::string, std::vector<int64_t>>> ParameterShapes(
    const UNetConfig& config) {
  const UNet network(config, torch::TensorOptions().device(torch::kMeta));
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  for (const auto& parameter : network.named_parameters()) {
    shapes.emplace_back(parameter.key(), parameter.value().sizes().vec());
  }
  return shapes;
}

}  // namespace diffusiond
