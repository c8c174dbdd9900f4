// Small networks of every kind with random weights, and inputs for them. Without LibTorch.
#ifndef DIFFUSIOND_TESTS_MODEL_CPU_NETWORK_RANDOM_UNET_H_
#define DIFFUSIOND_TESTS_MODEL_CPU_NETWORK_RANDOM_UNET_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/tensor_view.h"
#include "model/config/unet_config.h"
#include "model/cpu_network/cpu_unet.h"
#include "model/cpu_network/network_runner.h"
#include "model/sampling/row_noise.h"

namespace diffusiond {

// By what is special about them.
inline std::map<std::string, UNetConfig> UNetKinds() {
  UNetConfig clothes;  // 28, 14 and 7 pixels: tiles that reach over the edge, 49 tokens.
  clothes.sample_height = clothes.sample_width = 28;
  clothes.in_channels = clothes.out_channels = 1;
  clothes.block_out_channels = {32, 64, 96};
  clothes.layers_per_block = 1;
  clothes.down_block_types = {"DownBlock2D", "DownBlock2D", "AttnDownBlock2D"};
  clothes.up_block_types = {"AttnUpBlock2D", "UpBlock2D", "UpBlock2D"};
  clothes.norm_num_groups = 8;
  clothes.attention_head_dim = 32;
  clothes.num_class_embeds = 11;

  std::map<std::string, UNetConfig> kinds = {{"clothes", clothes}};
  UNetConfig odd = clothes;  // No channel count fills a panel; heads of four.
  odd.sample_height = 14;
  odd.sample_width = 18;
  odd.in_channels = 3;
  odd.out_channels = 6;  // Learned variance.
  odd.block_out_channels = {12, 20};
  odd.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  odd.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  odd.norm_num_groups = 4;
  odd.attention_head_dim = 4;
  odd.center_input_sample = true;
  odd.flip_sin_to_cos = false;
  odd.freq_shift = 1;
  odd.mid_block_scale_factor = 1.4142135;
  odd.downsample_padding = 0;
  kinds["odd"] = odd;

  UNetConfig one_head = odd;  // Whose projections are merged.
  one_head.attention_head_dim.reset();
  kinds["one_head"] = one_head;

  UNetConfig resnets = odd;  // Residual blocks resample; the embedding scales and shifts.
  resnets.sample_height = resnets.sample_width = 16;
  resnets.block_out_channels = {16, 24, 40};
  resnets.down_block_types = {"ResnetDownsampleBlock2D", "AttnDownBlock2D", "DownBlock2D"};
  resnets.up_block_types = {"UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"};
  resnets.downsample_type = resnets.upsample_type = "resnet";
  resnets.resnet_time_scale_shift = "scale_shift";
  resnets.num_class_embeds.reset();
  resnets.norm_num_groups = 8;
  resnets.attention_head_dim = 8;
  kinds["resnets"] = resnets;
  resnets.attention_head_dim.reset();  // In the middle without a norm before it.
  kinds["one_head_resnets"] = resnets;

  UNetConfig plain = clothes;  // No attention, no classes; sums of several blocks.
  plain.sample_height = plain.sample_width = 16;
  plain.in_channels = plain.out_channels = 3;
  plain.block_out_channels = {32, 80};
  plain.layers_per_block = 2;
  plain.down_block_types = {"DownBlock2D", "DownBlock2D"};
  plain.up_block_types = {"UpBlock2D", "UpBlock2D"};
  plain.add_attention = false;
  plain.num_class_embeds.reset();
  kinds["plain"] = plain;

  UNetConfig large = plain;  // Work is at 64 pixels, so deep kernels are transformed at each use.
  large.sample_height = large.sample_width = 64;
  large.block_out_channels = {32, 16, 24, 24};
  large.layers_per_block = 1;
  large.down_block_types = {"DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"};
  large.up_block_types = {"UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"};
  kinds["large"] = large;
  return kinds;
}

// A network's tensors: normal weights that keep activations of size 1.
class RandomTensors {
 public:
  explicit RandomTensors(const UNetConfig& config) {
    uint32_t seed = 0;
    for (const auto& [name, shape] : CpuUNetParameters(config)) {
      size_t count = 1;
      for (const int64_t side : shape) count *= static_cast<size_t>(side);
      std::vector<float>& values = values_[name];
      values.resize(count);
      FillRowNoise(/*seed=*/3, seed++, 0, values);
      const bool is_scale = name.find("norm") != std::string::npos && name.ends_with("weight");
      const float size =
          shape.size() == 1
              ? 0.1f
              : 1 / std::sqrt(static_cast<float>(count / static_cast<size_t>(shape[0])));
      for (float& value : values) value = value * size + (is_scale ? 1.f : 0.f);
      views_[name] = {.dtype = Dtype::kF32,
                      .shape = shape,
                      .data = std::as_bytes(std::span<const float>(values))};
    }
  }

  const TensorMap& views() const { return views_; }
  std::map<std::string, std::vector<float>>& values() { return values_; }

 private:
  std::map<std::string, std::vector<float>> values_;
  TensorMap views_;
};

inline std::shared_ptr<const CpuUNet> RandomCpuUNet(const UNetConfig& config) {
  auto network = CpuUNet::Create(config, RandomTensors(config).views());
  return network.ok() ? std::shared_ptr<const CpuUNet>(*std::move(network)) : nullptr;
}

// What a network is asked, for as many images as there are numbers: the same number, the same
// question.
struct NetworkInputs {
  NetworkInputs(const UNetConfig& config, std::span<const uint32_t> numbers) {
    const size_t n =
        static_cast<size_t>(config.in_channels * config.sample_height * config.sample_width);
    for (const uint32_t number : numbers) {
      std::vector<float> image(n);
      FillRowNoise(/*seed=*/9, number, 0, image);
      x.insert(x.end(), image.begin(), image.end());
      timesteps.push_back(static_cast<float>(37 * number % 1000) + 0.25f);
      labels.push_back(number % config.num_class_embeds.value_or(1));
    }
  }

  std::vector<float> x, timesteps;
  std::vector<int64_t> labels;
};

// What the network gives for each of them, asked together.
inline std::vector<std::vector<float>> Predict(NetworkRunner* runner,
                                               std::span<const uint32_t> numbers) {
  const UNetConfig& config = runner->network().config();
  const NetworkInputs inputs(config, numbers);
  const size_t n =
      static_cast<size_t>(config.out_channels * config.sample_height * config.sample_width);
  std::vector<float> f(numbers.size() * n);
  runner->Run({.rows = numbers.size(),
               .x = inputs.x.data(),
               .timesteps = inputs.timesteps.data(),
               .labels = inputs.labels.data(),
               .f = f.data()});
  std::vector<std::vector<float>> each;
  for (size_t i = 0; i < numbers.size(); ++i) {
    each.emplace_back(f.begin() + static_cast<std::ptrdiff_t>(i * n),
                      f.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
  }
  return each;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_CPU_NETWORK_RANDOM_UNET_H_
