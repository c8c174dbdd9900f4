// A training run of milliseconds a step.
#ifndef DIFFUSIOND_TESTS_TESTING_TINY_TRAINING_H_
#define DIFFUSIOND_TESTS_TESTING_TINY_TRAINING_H_

#include <cstdint>
#include <filesystem>

#include "model/training/data/dataset.h"
#include "model/training/options/trainer_options.h"

namespace diffusiond {

// Grey 8x8 images, all different, of two classes.
inline ImageDataset TinyImages(int count) {
  ImageDataset data;
  data.channels = 1;
  data.height = data.width = 8;
  data.class_names = {"falling", "rising"};
  for (int image = 0; image < count; ++image) {
    data.labels.push_back(image % 2);
    for (int pixel = 0; pixel < 64; ++pixel) {
      const int level = image % 2 == 0 ? 63 - pixel : pixel;
      data.pixels.push_back(static_cast<uint8_t>(level * 3 + image));
    }
  }
  data.digest = DigestOf(data);
  return data;
}

// No log, no sheets, no saves but the last, unless a test says so.
inline TrainerOptions TinyOptions(const std::filesystem::path& out) {
  TrainerOptions options;
  options.out = out;
  UNetConfig& unet = options.model.unet;
  unet.sample_height = unet.sample_width = 8;
  unet.in_channels = unet.out_channels = 1;
  unet.block_out_channels = {8, 8};
  unet.layers_per_block = 1;
  unet.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  unet.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  unet.attention_head_dim = 8;
  unet.norm_num_groups = 4;
  unet.dropout = 0.1;
  unet.num_class_embeds = 3;
  options.model.class_names = {"falling", "rising"};
  options.model.null_class_id = 2;
  options.model.scheduler.num_train_timesteps = 50;
  options.steps = 12;
  options.batch_size = 4;
  options.learning_rate = 1e-3;
  options.warmup_steps = 2;
  options.flip = true;
  options.log_every = options.eval_every = options.sample_every = options.save_every = 0;
  options.sampling.steps = 1;
  return options;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_TINY_TRAINING_H_
