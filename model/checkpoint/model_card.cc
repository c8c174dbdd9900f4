#include "model/checkpoint/model_card.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/diffusion/trained_betas.h"

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

// Names come from whoever made the model, and stand in a table and in a comment.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) || c == '|' || c == '`') c = ' ';
  }
  return text;
}

std::string Classes(const CheckpointConfig& config) {
  if (!config.class_names.empty()) {
    return OneLine(absl::StrJoin(config.class_names, ", "));
  }
  if (!config.unet.num_class_embeds.has_value()) return "none (unconditional)";
  return absl::StrCat(*config.unet.num_class_embeds, ", without names");
}

std::string Defaults(const GenerationDefaults& defaults) {
  SamplingOptions options;
  defaults.ApplyTo(&options);
  return absl::StrCat(options.sampler, ", ", options.steps, " steps, eta ", options.eta,
                      ", guidance scale ", defaults.guidance_scale);
}

// diffusers' class of the sampler; the model's own if it has none.
std::string PythonScheduler(const CheckpointConfig& config, const std::string& sampler) {
  constexpr std::pair<const char*, const char*> kClasses[] = {
      {"ddim", "DDIMScheduler"},           {"ddpm", "DDPMScheduler"},
      {"deis", "DEISMultistepScheduler"},  {"dpmpp", "DPMSolverMultistepScheduler"},
      {"euler", "EulerDiscreteScheduler"}, {"euler_ancestral", "EulerAncestralDiscreteScheduler"},
      {"heun", "HeunDiscreteScheduler"},   {"lms", "LMSDiscreteScheduler"},
      {"pndm", "PNDMScheduler"},           {"unipc", "UniPCMultistepScheduler"}};
  if (config.scheduler.is_edm()) return config.scheduler.class_name;
  for (const auto& [name, class_name] : kClasses) {
    if (sampler == name) return class_name;
  }
  return config.scheduler.class_name;
}

// Draws with classes and guidance, which no pipeline of diffusers does for a UNet2DModel.
std::string PythonLoop(const CheckpointConfig& config) {
  const GenerationDefaults defaults = config.generation.value_or(GenerationDefaults());
  SamplingOptions sampling;
  defaults.ApplyTo(&sampling);
  const std::string scheduler = PythonScheduler(config, sampling.sampler);
  const bool classes = config.unet.num_class_embeds.has_value();
  std::string options;
  if (!config.scheduler.is_edm() && defaults.options.contains("timestep_spacing")) {
    options = absl::StrCat(", timestep_spacing=\"", WordOf(sampling.timestep_spacing), "\"");
  }
  if (scheduler == "DDPMScheduler" && defaults.options.contains("variance") &&
      sampling.variance != Variance::kZero) {
    absl::StrAppend(&options, ", variance_type=\"", WordOf(sampling.variance), "\"");
  }
  std::string loop = absl::StrCat(
      "import torch\nfrom diffusers import ", scheduler, ", UNet2DModel\n\n",
      "unet = UNet2DModel.from_pretrained(\".\", subfolder=\"unet\").eval()  # in this directory\n",
      "scheduler = ", scheduler, ".from_pretrained(\".\", subfolder=\"scheduler\"", options, ")\n",
      "scheduler.set_timesteps(", sampling.steps, ")\n", "x = torch.randn(4, ",
      config.unet.in_channels, ", ", config.unet.sample_height, ", ", config.unet.sample_width,
      ") * scheduler.init_noise_sigma\n");
  const bool guides = classes && config.null_class_id && defaults.guidance_scale != 1;
  if (classes) {
    absl::StrAppend(&loop, "wanted = torch.full((4,), 0)  # ",
                    config.class_names.empty() ? "a class" : OneLine(config.class_names[0]), "\n");
  }
  if (guides) {
    absl::StrAppend(&loop, "none, scale = torch.full((4,), ", *config.null_class_id, "), ",
                    defaults.guidance_scale, "\n");
  }
  absl::StrAppend(&loop, "for t in scheduler.timesteps:\n    with torch.no_grad():\n",
                  "        z = scheduler.scale_model_input(x, t)\n        f = unet(z, t",
                  classes ? ", class_labels=wanted" : "", ").sample\n");
  if (guides) {
    absl::StrAppend(&loop, "        unguided = unet(z, t, class_labels=none).sample\n",
                    "        f = unguided + scale * (f - unguided)\n");
  }
  // All but DDPM's take the prediction alone.
  if (config.scheduler.learns_variance() && scheduler != "DDPMScheduler") {
    absl::StrAppend(&loop, "    f, _ = f.chunk(2, dim=1)\n");
  }
  absl::StrAppend(&loop, "    x = scheduler.step(f, t, x",
                  scheduler == "DDIMScheduler" ? absl::StrCat(", eta=", sampling.eta) : "",
                  ").prev_sample\n", "images = (x / 2 + 0.5).clamp(0, 1)  # [4, C, H, W]\n");
  return loop;
}

std::string Python(const CheckpointConfig& config) {
  if (config.scheduler.prediction_type == "score") {
    return "from diffusers import UNet2DModel\n\n"
           "unet = UNet2DModel.from_pretrained(\".\", subfolder=\"unet\").eval()  # in this "
           "directory\n"
           "# It predicts the score, which no scheduler of diffusers takes.\n";
  }
  if (PipelineClass(config).empty()) return PythonLoop(config);
  return absl::StrCat(
      "from diffusers import ", PipelineClass(config), "\n\n", "pipeline = ", PipelineClass(config),
      ".from_pretrained(\".\")  # in this directory\n", "images = pipeline(batch_size=4).images\n");
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
  absl::StrAppend(&card, "\nIn Python:\n\n```python\n", Python(config), "```\n");
  const std::string note = Float32Warning(config.scheduler.trained_betas);
  if (!note.empty()) absl::StrAppend(&card, "\nNote: ", note, ".\n");
  if (!training.empty()) absl::StrAppend(&card, "\n## Training\n\n", training);
  return card;
}

}  // namespace diffusiond
