// The stages of a U-Net, of which UNetBuilder makes it.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/cpu_network/unet_builder.h"

namespace diffusiond {
namespace {

bool HasAttention(const std::string& block_type) { return block_type.rfind("Attn", 0) == 0; }

// downsample_type and upsample_type act in attention blocks only (ResampleOf in model/unet).
bool ResamplesByResnet(const std::string& block_type, const std::string& attention_kind) {
  return block_type.rfind("Resnet", 0) == 0 ||
         (HasAttention(block_type) && attention_kind == "resnet");
}

}  // namespace

Slot UNetBuilder::BuildDown(size_t level, Slot x) {
  const std::string name = absl::StrCat("down_blocks.", level);
  const std::string& type = config_.down_block_types[level];
  const size_t channels = static_cast<size_t>(config_.block_out_channels[level]);
  const auto keep = [this](const Slot& slot) {
    arena_.Hold(slot);
    skips_.push_back(slot);
  };
  for (int64_t i = 0; i < config_.layers_per_block; ++i) {
    x = BuildResnet({.name = absl::StrCat(name, ".resnets.", i), .out = channels}, x);
    if (HasAttention(type)) {
      AttentionBlock block = AttentionOf(channels);
      block.name = absl::StrCat(name, ".attentions.", i);
      x = BuildAttention(block, x);
    }
    keep(x);
  }
  if (level + 1 == config_.block_out_channels.size()) return x;
  const std::string sampler = absl::StrCat(name, ".downsamplers.0");
  if (ResamplesByResnet(type, config_.downsample_type)) {
    x = BuildResnet({.name = sampler, .out = channels, .resample = Resample::kDown}, x);
  } else {
    const Slot half =
        BuildConvolution(absl::StrCat(sampler, ".conv"), x, channels, 3,
                         {.stride = 2, .padding = static_cast<size_t>(config_.downsample_padding)});
    Release(std::exchange(x, half));
  }
  keep(x);
  return x;
}

Slot UNetBuilder::BuildMiddle(Slot x) {
  const size_t channels = x.channels;
  const float divisor = static_cast<float>(config_.mid_block_scale_factor);
  x = BuildResnet({.name = "mid_block.resnets.0", .out = channels, .divisor = divisor}, x);
  if (config_.add_attention) {
    AttentionBlock block = AttentionOf(channels);
    block.name = "mid_block.attentions.0";
    block.divisor = divisor;
    if (config_.attn_norm_num_groups) {
      block.groups = config_.attn_norm_num_groups;
    } else if (config_.resnet_time_scale_shift == "scale_shift") {
      block.groups.reset();
    }
    x = BuildAttention(block, x);
  }
  return BuildResnet({.name = "mid_block.resnets.1", .out = channels, .divisor = divisor}, x);
}

Slot UNetBuilder::BuildUp(size_t index, Slot x) {
  const size_t level = config_.block_out_channels.size() - 1 - index;
  const std::string name = absl::StrCat("up_blocks.", index);
  const std::string& type = config_.up_block_types[index];
  const size_t channels = static_cast<size_t>(config_.block_out_channels[level]);
  for (int64_t i = 0; i <= config_.layers_per_block; ++i) {
    const Slot skip = skips_.back();
    skips_.pop_back();
    x = BuildResnet({.name = absl::StrCat(name, ".resnets.", i), .out = channels}, {x, skip});
    if (HasAttention(type)) {
      AttentionBlock block = AttentionOf(channels);
      block.name = absl::StrCat(name, ".attentions.", i);
      x = BuildAttention(block, x);
    }
  }
  if (level == 0) return x;
  const std::string sampler = absl::StrCat(name, ".upsamplers.0");
  if (ResamplesByResnet(type, config_.upsample_type)) {
    return BuildResnet({.name = sampler, .out = channels, .resample = Resample::kUp}, x);
  }
  const Slot twice = BuildConvolution(absl::StrCat(sampler, ".conv"), x, channels, 3,
                                      {.in_shift = 1, .padding = 1});
  Release(x);
  return twice;
}

void UNetBuilder::Build() {
  BuildTimeEmbedding();
  const auto side = [](int64_t value) { return static_cast<size_t>(value); };
  Slot image = arena_.Take(side(config_.sample_height), side(config_.sample_width),
                           side(config_.in_channels));
  Add(std::make_unique<InputLayer>(image, config_.center_input_sample));
  Slot x =
      BuildConvolution("conv_in", image, side(config_.block_out_channels[0]), 3, {.padding = 1});
  Release(image);
  arena_.Hold(x);
  skips_.push_back(x);
  const size_t levels = config_.block_out_channels.size();
  for (size_t level = 0; level < levels; ++level) x = BuildDown(level, x);
  x = BuildMiddle(x);
  for (size_t index = 0; index < levels; ++index) x = BuildUp(index, x);
  const Slot normed = BuildNorm("conv_norm_out", x, config_.norm_num_groups, {}, /*silu=*/true);
  Release(std::exchange(x, normed));
  const Slot out = BuildConvolution("conv_out", x, side(config_.out_channels), 3, {.padding = 1});
  Add(std::make_unique<OutputLayer>(out));
  size_.arena = arena_.floats();
  if (!lists_only()) return;
  CountProjections();
  ChooseTransforms();
}

}  // namespace diffusiond
