// Configuration of diffusers' UNet2DModel, field for field.
#ifndef DIFFUSIOND_MODEL_CONFIG_UNET_CONFIG_H_
#define DIFFUSIOND_MODEL_CONFIG_UNET_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace diffusiond {

// Values are the constructor's defaults of diffusers 0.35. Names are the JSON fields'.
struct UNetConfig {
  int64_t sample_height = 32;  // sample_size: an integer or [height, width].
  int64_t sample_width = 32;
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  bool center_input_sample = false;
  std::string time_embedding_type = "positional";  // The only one accepted; "fourier" is refused.
  int64_t freq_shift = 0;
  bool flip_sin_to_cos = true;
  std::vector<std::string> down_block_types = {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D",
                                               "AttnDownBlock2D"};
  std::vector<std::string> up_block_types = {"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D",
                                             "UpBlock2D"};
  std::string mid_block_type = "UNetMidBlock2D";
  std::vector<int64_t> block_out_channels = {224, 448, 672, 896};
  int64_t layers_per_block = 2;
  double mid_block_scale_factor = 1;
  int64_t downsample_padding = 1;
  std::string downsample_type = "conv";  // "conv" or "resnet".
  std::string upsample_type = "conv";
  double dropout = 0;
  std::string act_fn = "silu";                    // "silu" or its alias "swish".
  std::optional<int64_t> attention_head_dim = 8;  // Absent: one head.
  int64_t norm_num_groups = 32;
  std::optional<int64_t> attn_norm_num_groups;
  double norm_eps = 1e-5;
  std::string resnet_time_scale_shift = "default";  // "default" or "scale_shift".
  bool add_attention = true;
  std::optional<std::string> class_embed_type;  // Only absent is accepted.
  std::optional<int64_t> num_class_embeds;

  friend bool operator==(const UNetConfig&, const UNetConfig&) = default;
};

inline constexpr int64_t kMaxImageChannels = 64;
// Channels times height times width: a colour image of 4096 x 4096. 200 MB as floats.
inline constexpr int64_t kMaxImageElements = int64_t{3} * 4096 * 4096;
// The same of what a network gives: a classifier's thousand channels of 512 x 512. 1 GB as floats.
inline constexpr int64_t kMaxOutputElements = int64_t{1} << 28;

// OK if a network can be built from `config`; else names the field, its value and the range.
// out_channels may be as many as classes: that a denoiser's are an image's is for others to check.
absl::Status Validate(const UNetConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CONFIG_UNET_CONFIG_H_
