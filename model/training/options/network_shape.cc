#include "model/training/options/network_shape.h"

#include <bit>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::Status ParsePositive(const char* flag, const std::string& text, const char* expected,
                           int64_t* value) {
  if (absl::SimpleAtoi(text, value) && *value > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " has \"", text, "\"; it must be ", expected));
}

// Every level after the first halves the image.
int64_t SideAt(int64_t side, size_t level) { return level < 63 ? side >> level : 0; }

// The heights in shape.attention_at.
absl::StatusOr<std::set<int64_t>> AttentionHeights(const NetworkShape& shape,
                                                   const ImageDataset& data) {
  std::set<int64_t> heights;
  if (shape.attention_at == std::vector<std::string>{"none"}) return heights;
  if (shape.attention_at == std::vector<std::string>{"auto"}) {
    if (shape.channels.empty()) return heights;
    const size_t last = shape.channels.size() - 1;
    const int64_t height = SideAt(data.height, last);
    if (height * SideAt(data.width, last) <= kMostAutoAttention) heights.insert(height);
    return heights;
  }
  for (const std::string& text : shape.attention_at) {
    if (text.empty()) continue;
    int64_t height = 0;
    RETURN_IF_ERROR(ParsePositive("--attention_at", text,
                                  "auto, none, or a list of positive integers", &height));
    heights.insert(height);
  }
  return heights;
}

// All levels but the last halve the image, and nothing adapts odd sides on the way up.
absl::Status CheckLevels(size_t levels, const ImageDataset& data) {
  const int64_t halvings =
      std::countr_zero(static_cast<uint64_t>(data.height) | static_cast<uint64_t>(data.width));
  if (static_cast<int64_t>(levels) <= halvings + 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--channels has ", levels,
                   " levels, each of which after the first halves the image: images of ",
                   data.width, " x ", data.height, " allow at most ", halvings + 1,
                   data.width == data.height
                       ? ""
                       : "; --resolution with --center_crop or --random_crop makes them square"));
}

// The network's configuration is made of flags: those are what its fields are called here.
absl::Status InFlags(const absl::Status& status) {
  return absl::Status(
      status.code(),
      absl::StrReplaceAll(status.message(), {{"block_out_channels", "--channels"},
                                             {"norm_num_groups", "--norm_num_groups"},
                                             {"attention_head_dim", "--attention_head_dim"},
                                             {"layers_per_block", "--layers_per_block"},
                                             {"dropout is", "--dropout is"},
                                             {"sample_size is", "the image's side is"}}));
}

// That the images are what the model draws.
absl::Status CheckOfModel(const ImageDataset& data, const CheckpointConfig& model) {
  const auto shape = [](int64_t width, int64_t height, int64_t channels) {
    return absl::StrCat(width, " x ", height, " x ", channels);
  };
  const std::string found = shape(data.width, data.height, data.channels);
  const std::string expected =
      shape(model.unet.sample_width, model.unet.sample_height, model.unet.in_channels);
  if (found != expected) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--data has images of ", found, ", the model of --classifier_for draws ", expected));
  }
  const auto classes = static_cast<int64_t>(data.class_names.size());
  const bool conditional = model.unet.num_class_embeds.has_value();
  if (conditional && classes != NumClasses(model)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--data has ", classes, " classes, the model of --classifier_for ",
                     NumClasses(model), ": a classifier tells the model's apart"));
  }
  return absl::OkStatus();
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

  // None is none: not in the middle either.
  unet.add_attention = shape.attention_at != std::vector<std::string>{"none"};
  RETURN_IF_ERROR(CheckLevels(shape.channels.size(), data));
  ASSIGN_OR_RETURN(std::set<int64_t> attention_at, AttentionHeights(shape, data));
  std::vector<int64_t> heights;
  for (const std::string& text : shape.channels) {
    int64_t channels = 0;
    RETURN_IF_ERROR(ParsePositive("--channels", text, "a list of positive integers", &channels));
    const int64_t height = SideAt(data.height, heights.size());
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
  return InFlags(Validate(unet));
}

absl::Status DescribeClassifier(const NetworkShape& shape, const ImageDataset& data,
                                CheckpointConfig* model) {
  if (data.labels.empty()) {
    return absl::InvalidArgumentError("the images have no labels: there is nothing to classify");
  }
  RETURN_IF_ERROR(CheckOfModel(data, *model));
  CheckpointConfig described;
  RETURN_IF_ERROR(DescribeModel(shape, data, &described));
  model->classifier = described.unet;
  model->classifier->num_class_embeds.reset();
  model->classifier->out_channels = static_cast<int64_t>(data.class_names.size());
  if (!model->unet.num_class_embeds.has_value()) model->class_names = data.class_names;
  return Validate(*model);
}

}  // namespace diffusiond
