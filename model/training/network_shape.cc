#include "model/training/network_shape.h"

#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diffusiond {
namespace {

absl::Status ParsePositive(const char* flag, const std::string& text, int64_t* value) {
  if (absl::SimpleAtoi(text, value) && *value > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " has \"", text, "\"; it must be a list of positive integers"));
}

}  // namespace

absl::Status DescribeModel(const NetworkShape& shape, const ImageDataset& data,
                           CheckpointConfig* model) {
  UNetConfig& unet = model->unet;
  unet.sample_height = data.height;
  unet.sample_width = data.width;
  unet.in_channels = unet.out_channels = data.channels;
  unet.layers_per_block = shape.layers_per_block;
  unet.attention_head_dim = shape.attention_head_dim;
  unet.norm_num_groups = shape.norm_num_groups;
  unet.dropout = shape.dropout;
  unet.block_out_channels.clear();
  unet.down_block_types.clear();
  unet.up_block_types.clear();

  std::set<int64_t> attention_at;
  for (const std::string& text : shape.attention_at) {
    if (text.empty()) continue;
    int64_t height = 0;
    if (absl::Status s = ParsePositive("--attention_at", text, &height); !s.ok()) return s;
    attention_at.insert(height);
  }
  std::vector<int64_t> heights;
  for (const std::string& text : shape.channels) {
    int64_t channels = 0;
    if (absl::Status s = ParsePositive("--channels", text, &channels); !s.ok()) return s;
    const int64_t height = data.height >> heights.size();
    const bool attention = attention_at.erase(height) > 0;
    heights.push_back(height);
    unet.block_out_channels.push_back(channels);
    unet.down_block_types.push_back(attention ? "AttnDownBlock2D" : "DownBlock2D");
    unet.up_block_types.insert(unet.up_block_types.begin(),
                               attention ? "AttnUpBlock2D" : "UpBlock2D");
  }
  if (!attention_at.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--attention_at has ", *attention_at.begin(),
                                                   "; the levels' heights are ",
                                                   absl::StrJoin(heights, ", ")));
  }

  model->class_names = data.class_names;
  if (!data.labels.empty()) {
    const int64_t classes = static_cast<int64_t>(data.class_names.size());
    unet.num_class_embeds = classes + (shape.null_class ? 1 : 0);
    if (shape.null_class) model->null_class_id = static_cast<int>(classes);
  }
  return Validate(unet);
}

absl::Status DescribeClassifier(const NetworkShape& shape, const ImageDataset& data,
                                CheckpointConfig* model) {
  if (data.labels.empty()) {
    return absl::InvalidArgumentError("the images have no labels: there is nothing to classify");
  }
  CheckpointConfig described;
  if (absl::Status status = DescribeModel(shape, data, &described); !status.ok()) return status;
  model->classifier = described.unet;
  model->classifier->num_class_embeds.reset();
  model->classifier->out_channels = static_cast<int64_t>(data.class_names.size());
  if (!model->unet.num_class_embeds.has_value()) model->class_names = data.class_names;
  return Validate(*model);
}

}  // namespace diffusiond
