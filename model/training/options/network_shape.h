// From a data set and a few choices to the full description of a model.
#ifndef DIFFUSIOND_MODEL_TRAINING_OPTIONS_NETWORK_SHAPE_H_
#define DIFFUSIOND_MODEL_TRAINING_OPTIONS_NETWORK_SHAPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// 16 x 16, the DDPM paper's: what attention costs grows with the square of the pixels.
inline constexpr int64_t kMostAutoAttention = 256;

struct NetworkShape {
  std::vector<std::string> channels;  // Of each level, as decimal numbers.
  // Image heights of the levels with attention; "none" or nothing: no level; "auto": the last
  // level, if it has at most kMostAutoAttention pixels.
  std::vector<std::string> attention_at = {"auto"};
  int64_t layers_per_block = 1;
  int64_t attention_head_dim = 32;
  int64_t norm_num_groups = 8;
  double dropout = 0;
  bool null_class = true;  // One embedding more than classes, for training without the label.
};

// Fills `model`'s network, class names and null class for images like `data`'s. INVALID_ARGUMENT
// names the choice, its value and what would do.
absl::Status DescribeModel(const NetworkShape& shape, const ImageDataset& data,
                           CheckpointConfig* model);

// Gives `model` a classifier of images like `data`'s, one channel a class; the rest of `model`
// stays, but that a network without classes takes their names. INVALID_ARGUMENT: as above, the data
// has no labels, or it does not fit the model.
absl::Status DescribeClassifier(const NetworkShape& shape, const ImageDataset& data,
                                CheckpointConfig* model);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OPTIONS_NETWORK_SHAPE_H_
