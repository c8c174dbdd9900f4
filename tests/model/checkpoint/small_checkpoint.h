// A checkpoint of a few hundred bytes. Its tensors are not those of its network: nothing below the
// network's construction minds.
#ifndef DIFFUSIOND_TESTS_MODEL_CHECKPOINT_SMALL_CHECKPOINT_H_
#define DIFFUSIOND_TESTS_MODEL_CHECKPOINT_SMALL_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"

namespace diffusiond {

// Float tensors with their own memory.
class OwnedTensors {
 public:
  void Add(const std::string& name, std::vector<int64_t> shape, std::vector<float> values) {
    std::vector<float>& stored = values_[name] = std::move(values);
    views_[name] = {Dtype::kF32, std::move(shape), std::as_bytes(std::span(stored))};
  }
  const TensorMap& views() const { return views_; }

 private:
  std::map<std::string, std::vector<float>> values_;  // Nodes stay where they are.
  TensorMap views_;
};

// Two checkpoints with different `value` have different digests.
inline OwnedTensors SmallTensors(float value) {
  OwnedTensors tensors;
  tensors.Add("conv_in.bias", {2}, {value, 2});
  tensors.Add("mid_block.attentions.0.to_out.0.weight", {2, 2}, {1, 2, 3, 4});
  tensors.Add("mid_block.attentions.0.to_q.weight", {2, 2}, {5, 6, 7, 8});
  return tensors;
}

inline CheckpointConfig SmallConfig() {
  CheckpointConfig config;
  config.unet.sample_height = config.unet.sample_width = 8;
  config.unet.block_out_channels = {8, 16};
  config.unet.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  config.unet.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  config.unet.norm_num_groups = 4;
  config.unet.num_class_embeds = 3;
  config.scheduler.variance_type = "fixed_large";
  config.class_names = {"shirt", "bag"};
  config.null_class_id = 2;
  return config;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_CHECKPOINT_SMALL_CHECKPOINT_H_
