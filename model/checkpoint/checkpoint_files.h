// Names of the files in a checkpoint directory (diffusers_directory.h shows the layouts).
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_CHECKPOINT_FILES_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_CHECKPOINT_FILES_H_

#include <algorithm>
#include <array>
#include <string>

namespace diffusiond {

inline constexpr char kModelIndexName[] = "model_index.json";
inline constexpr char kGenerationConfigName[] = "generation_config.json";
inline constexpr char kUNetDirectory[] = "unet";
inline constexpr char kSchedulerDirectory[] = "scheduler";
inline constexpr char kSchedulerConfigName[] = "scheduler_config.json";
inline constexpr char kFlatUNetConfig[] = "config.json";
inline constexpr char kNestedUNetConfig[] = "unet/config.json";
inline constexpr char kNestedSchedulerConfig[] = "scheduler/scheduler_config.json";
// A noise-conditional classifier beside the model, in unet/'s form; nested layout only.
inline constexpr char kClassifierDirectory[] = "classifier";
inline constexpr char kClassifierConfig[] = "classifier/config.json";
inline constexpr char kSafetensorsName[] = "diffusion_pytorch_model.safetensors";
inline constexpr char kPickledName[] = "diffusion_pytorch_model.bin";

// Whether this entry of a checkpoint's root is the checkpoint's, in either layout.
inline bool IsPartOfCheckpoint(const std::string& name) {
  // Not string_view: gcc 12 under -fsanitize=undefined takes no address here for a constant.
  static constexpr std::array<const char*, 9> kParts = {
      kModelIndexName,     kGenerationConfigName, kUNetDirectory,
      kSchedulerDirectory, kClassifierDirectory,  kSchedulerConfigName,
      kFlatUNetConfig,     kSafetensorsName,      kPickledName};
  return std::find(kParts.begin(), kParts.end(), name) != kParts.end();
}

// Every file that acts, in either layout.
inline constexpr std::array<const char*, 13> kCheckpointFiles = {
    kModelIndexName,
    kGenerationConfigName,
    kNestedUNetConfig,
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.bin",
    kNestedSchedulerConfig,
    kClassifierConfig,
    "classifier/diffusion_pytorch_model.safetensors",
    "classifier/diffusion_pytorch_model.bin",
    kFlatUNetConfig,
    kSchedulerConfigName,
    kSafetensorsName,
    kPickledName};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_CHECKPOINT_FILES_H_
