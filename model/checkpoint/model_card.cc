#include "model/checkpoint/model_card.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diffusiond {
namespace {

int64_t Parameters(const Checkpoint& checkpoint) {
  int64_t count = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    count += elements;
  }
  return count;
}

std::string Classes(const CheckpointConfig& config) {
  if (!config.class_names.empty()) return absl::StrJoin(config.class_names, ", ");
  if (!config.unet.num_class_embeds.has_value()) return "none (unconditional)";
  return absl::StrCat(*config.unet.num_class_embeds, ", without names");
}

std::string Defaults(const GenerationDefaults& defaults) {
  return absl::StrCat(defaults.sampler, ", ", defaults.steps, " steps, eta ", defaults.eta,
                      ", guidance scale ", defaults.guidance_scale);
}

}  // namespace

std::string MakeModelCard(const std::string& name, const Checkpoint& checkpoint,
                          const std::string& training) {
  const CheckpointConfig& config = checkpoint.config();
  std::string card = absl::StrCat("# ", name, "\n\n| | |\n|---|---|\n");
  const auto row = [&card](const char* what, const std::string& says) {
    absl::StrAppend(&card, "| ", what, " | ", says, " |\n");
  };
  row("network", absl::StrCat("`UNet2DModel`, ", Parameters(checkpoint), " parameters, channels ",
                              absl::StrJoin(config.unet.block_out_channels, "/")));
  row("images", absl::StrCat(config.unet.sample_width, "x", config.unet.sample_height, "x",
                             config.unet.in_channels));
  row("classes", Classes(config));
  row("diffusion",
      absl::StrCat(config.scheduler.class_name, ", predicts ", config.scheduler.prediction_type,
                   ", ", config.scheduler.num_train_timesteps, " training timesteps"));
  if (config.generation.has_value()) row("drawn by default with", Defaults(*config.generation));
  row("digest", absl::StrCat("`", checkpoint.digest(), "`"));
  absl::StrAppend(&card,
                  "\n```python\nfrom diffusers import UNet2DModel\n"
                  "UNet2DModel.from_pretrained(\".\", subfolder=\"unet\")  # in this directory\n"
                  "```\n");
  if (!training.empty()) absl::StrAppend(&card, "\n## Training\n\n", training);
  return card;
}

}  // namespace diffusiond
