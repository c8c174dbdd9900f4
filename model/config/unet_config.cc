#include "model/config/unet_config.h"

#include <algorithm>
#include <array>
#include <span>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

// Far above any network of this family, and small enough that no product of them overflows and no
// configuration file makes the server allocate without bound.
constexpr int64_t kMaxSampleSize = 4096;
constexpr int64_t kMaxLevels = 10;
constexpr int64_t kMaxBlockChannels = 8192;
constexpr int64_t kMaxLayersPerBlock = 32;
constexpr int64_t kMaxClassEmbeds = 1 << 20;
// Files have 1e-5 or 1e-6. Less is lost in float32, and more than values of variance 1 drowns them.
constexpr double kLeastNormEps = 1e-12;
constexpr double kMaxNormEps = 1;
// Files have 1 or the square root of 2.
constexpr double kLeastScaleFactor = 1e-3;
constexpr double kMaxScaleFactor = 1e3;

using Names = std::span<const absl::string_view>;
constexpr std::array<absl::string_view, 3> kDownBlocks = {"DownBlock2D", "AttnDownBlock2D",
                                                          "ResnetDownsampleBlock2D"};
constexpr std::array<absl::string_view, 3> kUpBlocks = {"UpBlock2D", "AttnUpBlock2D",
                                                        "ResnetUpsampleBlock2D"};
constexpr std::array<absl::string_view, 1> kMidBlocks = {"UNetMidBlock2D"};
constexpr std::array<absl::string_view, 1> kTimeEmbeddings = {"positional"};
constexpr std::array<absl::string_view, 2> kResamplers = {"conv", "resnet"};
constexpr std::array<absl::string_view, 2> kActivations = {"silu", "swish"};
constexpr std::array<absl::string_view, 2> kScaleShifts = {"default", "scale_shift"};

absl::Status Wrong(absl::string_view field, const std::string& value, const std::string& expected) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, ", ", expected));
}

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Wrong(field, absl::StrCat(value), absl::StrCat("expected ", low, " to ", high));
}

absl::Status CheckName(absl::string_view field, const std::string& value, Names allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return absl::OkStatus();
  return Wrong(field, absl::StrCat("'", absl::Utf8SafeCHexEscape(value), "'"),
               absl::StrCat("allowed: ", absl::StrJoin(allowed, ", ")));
}

absl::Status CheckMultiple(absl::string_view field, int64_t value, absl::string_view of_field,
                           int64_t of) {
  if (value % of == 0) return absl::OkStatus();
  return Wrong(field, absl::StrCat(value),
               absl::StrCat("expected a multiple of ", of_field, " = ", of));
}

absl::Status CheckBlocks(const UNetConfig& config) {
  const int64_t levels = static_cast<int64_t>(config.block_out_channels.size());
  absl::Status status = CheckRange("the length of block_out_channels", levels, 1, kMaxLevels);
  status.Update(CheckRange("layers_per_block", config.layers_per_block, 1, kMaxLayersPerBlock));
  for (const auto& [field, types, allowed] :
       {std::tuple("down_block_types", &config.down_block_types, Names(kDownBlocks)),
        std::tuple("up_block_types", &config.up_block_types, Names(kUpBlocks))}) {
    if (static_cast<int64_t>(types->size()) != levels) {
      status.Update(Wrong(absl::StrCat("the length of ", field), absl::StrCat(types->size()),
                          absl::StrCat("expected that of block_out_channels, ", levels)));
    }
    for (size_t i = 0; i < types->size(); ++i) {
      status.Update(CheckName(absl::StrCat(field, "[", i, "]"), (*types)[i], allowed));
    }
  }
  status.Update(CheckName("mid_block_type", config.mid_block_type, kMidBlocks));
  return status;
}

// Group norms and attention heads must divide the channels they work on.
absl::Status CheckChannels(const UNetConfig& config) {
  absl::Status status = CheckRange("norm_num_groups", config.norm_num_groups, 1, kMaxBlockChannels);
  if (config.attn_norm_num_groups) {
    status.Update(
        CheckRange("attn_norm_num_groups", *config.attn_norm_num_groups, 1, kMaxBlockChannels));
  }
  if (config.attention_head_dim) {
    status.Update(
        CheckRange("attention_head_dim", *config.attention_head_dim, 1, kMaxBlockChannels));
  }
  if (!status.ok()) return status;

  const size_t levels = config.block_out_channels.size();
  for (size_t i = 0; i < levels; ++i) {
    const std::string field = absl::StrCat("block_out_channels[", i, "]");
    const int64_t channels = config.block_out_channels[i];
    status.Update(CheckRange(field, channels, 1, kMaxBlockChannels));
    status.Update(CheckMultiple(field, channels, "norm_num_groups", config.norm_num_groups));
    const bool is_mid = i + 1 == levels;
    const bool attends = config.down_block_types[i] == "AttnDownBlock2D" ||
                         config.up_block_types[levels - 1 - i] == "AttnUpBlock2D" ||
                         (is_mid && config.add_attention);
    if (attends && config.attention_head_dim) {
      status.Update(
          CheckMultiple(field, channels, "attention_head_dim", *config.attention_head_dim));
    }
    if (is_mid && config.attn_norm_num_groups) {
      status.Update(
          CheckMultiple(field, channels, "attn_norm_num_groups", *config.attn_norm_num_groups));
    }
  }
  if (!status.ok()) return status;

  // The time embedding: half sines, half cosines, frequencies spaced by 1 / (half - freq_shift).
  const int64_t width = config.block_out_channels[0];
  if (width % 2 != 0) return Wrong("block_out_channels[0]", absl::StrCat(width), "expected even");
  return CheckRange("freq_shift", config.freq_shift, 0, width / 2 - 1);
}

absl::Status CheckElements(absl::string_view field, int64_t channels, const UNetConfig& config,
                           int64_t most) {
  const int64_t elements = channels * config.sample_height * config.sample_width;
  if (elements <= most) return absl::OkStatus();
  return Wrong(absl::StrCat(field, " times sample_size"),
               absl::StrCat(channels, " x ", config.sample_height, " x ", config.sample_width,
                            " = ", elements),
               absl::StrCat("expected at most ", most));
}

absl::Status CheckSample(const UNetConfig& config) {
  absl::Status status = CheckRange("in_channels", config.in_channels, 1, kMaxImageChannels);
  status.Update(CheckRange("out_channels", config.out_channels, 1, kMaxClassEmbeds));
  for (int64_t side : {config.sample_height, config.sample_width}) {
    status.Update(CheckRange("sample_size", side, 1, kMaxSampleSize));
    // Every level but the last halves the sides, and nothing adapts odd ones on the way up.
    const int64_t factor = int64_t{1} << (config.block_out_channels.size() - 1);
    if (side % factor != 0) {
      status.Update(Wrong("sample_size", absl::StrCat(side),
                          absl::StrCat("expected a multiple of ", factor, ", for ",
                                       config.block_out_channels.size(), " levels")));
    }
  }
  if (!status.ok()) return status;  // The products below might overflow.
  status = CheckElements("in_channels", config.in_channels, config, kMaxImageElements);
  status.Update(CheckElements("out_channels", config.out_channels, config, kMaxOutputElements));
  return status;
}

absl::Status CheckNumber(absl::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();  // Not so for NaN.
  return Wrong(field, absl::StrCat(value), absl::StrCat("expected ", low, " to ", high));
}

}  // namespace

absl::Status Validate(const UNetConfig& config) {
  absl::Status status = CheckBlocks(config);
  if (!status.ok()) return status;  // The checks below index blocks by level.
  status.Update(CheckSample(config));
  status.Update(CheckName("time_embedding_type", config.time_embedding_type, kTimeEmbeddings));
  status.Update(CheckNumber("mid_block_scale_factor", config.mid_block_scale_factor,
                            kLeastScaleFactor, kMaxScaleFactor));
  status.Update(CheckRange("downsample_padding", config.downsample_padding, 0, 1));
  status.Update(CheckName("downsample_type", config.downsample_type, kResamplers));
  status.Update(CheckName("upsample_type", config.upsample_type, kResamplers));
  status.Update(CheckName("act_fn", config.act_fn, kActivations));
  status.Update(CheckNumber("norm_eps", config.norm_eps, kLeastNormEps, kMaxNormEps));
  status.Update(CheckName("resnet_time_scale_shift", config.resnet_time_scale_shift, kScaleShifts));
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    status.Update(Wrong("dropout", absl::StrCat(config.dropout), "expected 0 to below 1"));
  }
  if (config.class_embed_type) {
    status.Update(Wrong("class_embed_type",
                        absl::StrCat("'", absl::Utf8SafeCHexEscape(*config.class_embed_type), "'"),
                        "expected null"));
  }
  if (config.num_class_embeds) {
    status.Update(CheckRange("num_class_embeds", *config.num_class_embeds, 1, kMaxClassEmbeds));
  }
  if (!status.ok()) return status;
  return CheckChannels(config);
}

}  // namespace diffusiond
