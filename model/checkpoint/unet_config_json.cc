#include "model/checkpoint/unet_config_json.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/json_fields.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

constexpr char kClassName[] = "UNet2DModel";

void ReadSampleSize(JsonFields& fields, UNetConfig* config) {
  const Json* found = fields.Find("sample_size");
  if (found != nullptr && found->is_array()) {
    std::vector<int64_t> size;
    fields.Read("sample_size", &size);
    if (size.size() == 2) {
      config->sample_height = size[0];
      config->sample_width = size[1];
      return;
    }
  } else if (found != nullptr && found->is_number_integer()) {
    fields.Read("sample_size", &config->sample_height);
    config->sample_width = config->sample_height;
    return;
  }
  fields.Fault("sample_size", "an integer or [height, width]",
               found == nullptr ? Json("nothing") : *found);
}

// Early releases wrote "UNetResDownBlock2D" for "DownBlock2D", and so on; diffusers still reads it.
void DropOldPrefix(std::vector<std::string>* block_types) {
  constexpr absl::string_view kPrefix = "UNetRes";
  for (std::string& type : *block_types) {
    if (absl::StartsWith(type, kPrefix)) type.erase(0, kPrefix.size());
  }
}

// diffusers' default for this number is an int, so that its files say 1 where ours would say 1.0.
Json AsPythonWrote(double value) {
  const int64_t whole = static_cast<int64_t>(std::clamp(value, -1e9, 1e9));
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

// A field that changes the network in ways UNetConfig cannot express.
void RequireDefaultEmbeddingWidth(JsonFields& fields, const UNetConfig& config) {
  std::optional<int64_t> width;
  fields.Read("time_embedding_dim", &width);
  if (!width || config.block_out_channels.empty()) return;
  // Not yet in range, so nothing is multiplied.
  const int64_t channels = config.block_out_channels[0];
  if (*width % 4 == 0 && *width / 4 == channels) return;
  fields.Fault("time_embedding_dim",
               absl::StrCat("null or 4 * block_out_channels[0] = 4 * ", channels), Json(*width));
}

// All arguments of diffusers' constructor, 0.35, and what its files have besides that changes no
// image: num_train_timesteps is of learned time embeddings, which are refused; "timestep_values"
// and "tensor_format" are of 2022; the others are of its averaged weights.
constexpr std::array<absl::string_view, 37> kKnown = {"sample_size",
                                                      "in_channels",
                                                      "out_channels",
                                                      "center_input_sample",
                                                      "time_embedding_type",
                                                      "time_embedding_dim",
                                                      "freq_shift",
                                                      "flip_sin_to_cos",
                                                      "down_block_types",
                                                      "mid_block_type",
                                                      "up_block_types",
                                                      "block_out_channels",
                                                      "layers_per_block",
                                                      "mid_block_scale_factor",
                                                      "downsample_padding",
                                                      "downsample_type",
                                                      "upsample_type",
                                                      "dropout",
                                                      "act_fn",
                                                      "attention_head_dim",
                                                      "norm_num_groups",
                                                      "attn_norm_num_groups",
                                                      "norm_eps",
                                                      "resnet_time_scale_shift",
                                                      "add_attention",
                                                      "class_embed_type",
                                                      "num_class_embeds",
                                                      "num_train_timesteps",
                                                      "timestep_values",
                                                      "tensor_format",
                                                      "decay",
                                                      "inv_gamma",
                                                      "min_decay",
                                                      "optimization_step",
                                                      "power",
                                                      "update_after_step",
                                                      "use_ema_warmup"};

void WarnOfUnknown(const Json& object, std::vector<std::string>* warnings) {
  for (const auto& [name, value] : object.items()) {
    if (name[0] == '_' || value.is_null() || absl::c_linear_search(kKnown, name)) continue;
    warnings->push_back(absl::StrCat("network configuration: UNet2DModel knows no field ",
                                     Quoted(name), "; it changes nothing"));
  }
}

}  // namespace

absl::StatusOr<UNetConfig> ParseUNetConfig(absl::string_view json) {
  std::vector<std::string> unheard;
  return ParseUNetConfig(json, &unheard);
}

absl::StatusOr<UNetConfig> ParseUNetConfig(absl::string_view json,
                                           std::vector<std::string>* warnings) {
  ASSIGN_OR_RETURN(Json object, ParseJsonObject(json));
  JsonFields fields(object);
  std::string class_name = kClassName;
  fields.Read("_class_name", &class_name);
  if (class_name != kClassName) fields.Fault("_class_name", kClassName, Json(class_name));

  UNetConfig config;
  ReadSampleSize(fields, &config);
  fields.Read("in_channels", &config.in_channels);
  fields.Read("out_channels", &config.out_channels);
  fields.Read("center_input_sample", &config.center_input_sample);
  fields.Read("time_embedding_type", &config.time_embedding_type);
  fields.Read("freq_shift", &config.freq_shift);
  fields.Read("flip_sin_to_cos", &config.flip_sin_to_cos);
  fields.Read("down_block_types", &config.down_block_types);
  fields.Read("up_block_types", &config.up_block_types);
  // Such files have nulls where others have numbers, of which nobody should be told first.
  for (const std::vector<std::string>* blocks :
       {&config.down_block_types, &config.up_block_types}) {
    for (const std::string& block : *blocks) {
      if (!absl::StrContains(block, "Skip")) continue;
      return absl::UnimplementedError(absl::StrCat("the network has blocks ", Quoted(block),
                                                   ": NCSN++ (Song et al. 2021) is not read here"));
    }
  }
  fields.Read("mid_block_type", &config.mid_block_type);
  fields.Read("block_out_channels", &config.block_out_channels);
  fields.Read("layers_per_block", &config.layers_per_block);
  fields.Read("mid_block_scale_factor", &config.mid_block_scale_factor);
  fields.Read("downsample_padding", &config.downsample_padding);
  fields.Read("downsample_type", &config.downsample_type);
  fields.Read("upsample_type", &config.upsample_type);
  fields.Read("dropout", &config.dropout);
  fields.Read("act_fn", &config.act_fn);
  fields.Read("attention_head_dim", &config.attention_head_dim);
  fields.Read("norm_num_groups", &config.norm_num_groups);
  fields.Read("attn_norm_num_groups", &config.attn_norm_num_groups);
  fields.Read("norm_eps", &config.norm_eps);
  fields.Read("resnet_time_scale_shift", &config.resnet_time_scale_shift);
  fields.Read("add_attention", &config.add_attention);
  fields.Read("class_embed_type", &config.class_embed_type);
  fields.Read("num_class_embeds", &config.num_class_embeds);
  RequireDefaultEmbeddingWidth(fields, config);
  WarnOfUnknown(object, warnings);
  RETURN_IF_ERROR(fields.status());

  DropOldPrefix(&config.down_block_types);
  DropOldPrefix(&config.up_block_types);
  RETURN_IF_ERROR(Validate(config));
  return config;
}

absl::StatusOr<std::string> FormatUNetConfig(const UNetConfig& config) {
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  const Json sample_size = config.sample_height == config.sample_width
                               ? Json(config.sample_height)
                               : Json({config.sample_height, config.sample_width});
  return FormatJson(Json{
      {"_class_name", kClassName},
      {"_diffusers_version", kDiffusersVersion},
      {"act_fn", config.act_fn},
      {"add_attention", config.add_attention},
      {"attention_head_dim", or_null(config.attention_head_dim)},
      {"attn_norm_num_groups", or_null(config.attn_norm_num_groups)},
      {"block_out_channels", config.block_out_channels},
      {"center_input_sample", config.center_input_sample},
      {"class_embed_type", or_null(config.class_embed_type)},
      {"down_block_types", config.down_block_types},
      {"downsample_padding", config.downsample_padding},
      {"downsample_type", config.downsample_type},
      {"dropout", config.dropout},
      {"flip_sin_to_cos", config.flip_sin_to_cos},
      {"freq_shift", config.freq_shift},
      {"in_channels", config.in_channels},
      {"layers_per_block", config.layers_per_block},
      {"mid_block_scale_factor", AsPythonWrote(config.mid_block_scale_factor)},
      {"mid_block_type", config.mid_block_type},
      {"norm_eps", config.norm_eps},
      {"norm_num_groups", config.norm_num_groups},
      {"num_class_embeds", or_null(config.num_class_embeds)},
      {"num_train_timesteps", nullptr},
      {"out_channels", config.out_channels},
      {"resnet_time_scale_shift", config.resnet_time_scale_shift},
      {"sample_size", sample_size},
      {"time_embedding_dim", nullptr},
      {"time_embedding_type", config.time_embedding_type},
      {"up_block_types", config.up_block_types},
      {"upsample_type", config.upsample_type},
  });
}

}  // namespace diffusiond
