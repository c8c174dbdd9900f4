#include "model/cpu_network/cpu_denoiser.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace diffusiond {

ImageShape CpuDenoiser::shape() const {
  const UNetConfig& config = runner_.network().config();
  return {static_cast<int>(config.in_channels), static_cast<int>(config.sample_height),
          static_cast<int>(config.sample_width)};
}

int CpuDenoiser::output_channels() const {
  return static_cast<int>(runner_.network().config().out_channels);
}

absl::Status CpuDenoiser::Predict(std::span<const float> x, std::span<const float> timesteps,
                                  std::span<const int64_t> labels, std::span<float> f) {
  for (const float timestep : timesteps) {
    if (!std::isfinite(timestep)) {
      return absl::InvalidArgumentError(absl::StrCat("timestep ", timestep, " is not finite"));
    }
  }
  if (const auto& classes = runner_.network().config().num_class_embeds; classes.has_value()) {
    for (const int64_t label : labels) {
      if (label >= 0 && label < *classes) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("label ", label, ", expected 0 to ", *classes - 1));
    }
  }
  runner_.Run({.rows = timesteps.size(),
               .x = x.data(),
               .timesteps = timesteps.data(),
               .labels = labels.data(),
               .f = f.data()});
  return absl::OkStatus();
}

}  // namespace diffusiond
