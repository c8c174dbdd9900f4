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

std::string Described(const DefaultSampling& defaults) {
  const SamplingOptions& options = defaults.options;
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

// Further arguments of the scheduler, each with a comma before it: what its file does not say.
std::string SchedulerOptions(const CheckpointConfig& config, const SamplingOptions& sampling,
                             const std::string& scheduler) {
  const GenerationDefaults asked = config.generation.value_or(GenerationDefaults());
  const absl::string_view spacing = WordOf(sampling.timestep_spacing);
  std::string options;
  if (!config.scheduler.is_edm() && (asked.options.contains("timestep_spacing") ||
                                     config.scheduler.timestep_spacing != spacing)) {
    options = absl::StrCat(", timestep_spacing=\"", spacing, "\"");
  }
  if (scheduler == "DDPMScheduler" && asked.options.contains("variance") &&
      sampling.variance != Variance::kZero) {
    absl::StrAppend(&options, ", variance_type=\"", WordOf(sampling.variance), "\"");
  }
  return options;
}

// Draws with classes and guidance, which no pipeline of diffusers does for a UNet2DModel, and with
// schedulers that want their input scaled.
std::string PythonLoop(const CheckpointConfig& config, const DefaultSampling& defaults) {
  const SamplingOptions& sampling = defaults.options;
  const std::string scheduler = PythonScheduler(config, sampling.sampler);
  const std::string options = SchedulerOptions(config, sampling, scheduler);
  const bool classes = config.unet.num_class_embeds.has_value();
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

// By DDPMPipeline, which takes a thousand steps unless told, and tells a scheduler of no eta.
// Empty: it does not draw what the defaults do.
std::string PythonPipeline(const CheckpointConfig& config, const DefaultSampling& defaults) {
  const std::string pipeline = PipelineClass(config);
  const SamplingOptions& sampling = defaults.options;
  const bool ddim =
      sampling.sampler == "ddim" && sampling.eta == 0 && !config.scheduler.learns_variance();
  if (pipeline.empty() || !(ddim || sampling.sampler == "ddpm")) return "";
  const std::string scheduler = PythonScheduler(config, sampling.sampler);
  const std::string options = SchedulerOptions(config, sampling, scheduler);
  const bool own = scheduler == config.scheduler.class_name && options.empty();
  std::string text =
      absl::StrCat("from diffusers import ", own ? "" : scheduler + ", ", pipeline,
                   "\n\npipeline = ", pipeline, ".from_pretrained(\".\")  # in this directory\n");
  if (!own) {
    absl::StrAppend(&text, "pipeline.scheduler = ", scheduler,
                    ".from_config(pipeline.scheduler.config", options, ")\n");
  }
  absl::StrAppend(&text, "images = pipeline(batch_size=4, num_inference_steps=", sampling.steps,
                  ").images\n");
  return text;
}

std::string Python(const CheckpointConfig& config, const DefaultSampling& defaults) {
  if (config.scheduler.prediction_type == "score") {
    return "from diffusers import UNet2DModel\n\n"
           "unet = UNet2DModel.from_pretrained(\".\", subfolder=\"unet\").eval()  # in this "
           "directory\n"
           "# It predicts the score, which no scheduler of diffusers takes.\n";
  }
  const std::string pipeline = PythonPipeline(config, defaults);
  return pipeline.empty() ? PythonLoop(config, defaults) : pipeline;
}

}  // namespace

std::string MakeModelCard(const std::string& name, const Checkpoint& checkpoint,
                          const DefaultSampling& defaults, const std::string& training) {
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
  if (config.generation.has_value()) row("drawn by default with", Described(defaults));
  row("digest", absl::StrCat("`", checkpoint.digest(), "`"));
  absl::StrAppend(&card, "\nIn Python:\n\n```python\n", Python(config, defaults), "```\n");
  const std::string note = Float32Warning(config.scheduler.trained_betas);
  if (!note.empty()) absl::StrAppend(&card, "\nNote: ", note, ".\n");
  if (!training.empty()) absl::StrAppend(&card, "\n## Training\n\n", training);
  return card;
}

}  // namespace diffusiond
