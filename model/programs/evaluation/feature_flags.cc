#include "model/programs/evaluation/feature_flags.h"

#include <filesystem>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "model/evaluation/image_classifier.h"
#include "model/evaluation/script_features.h"

ABSL_FLAG(std::string, features, "",
          "samples, statistics: what images are judged by: the classifier.safetensors that "
          "diffusion-train --image_classifier writes, or a TorchScript file that gives features "
          "[N, D] of images, or a tuple of them and class scores [N, K]");
ABSL_FLAG(std::string, features_pixels, "bytes",
          "what a TorchScript file takes: bytes (uint8), unit (0 .. 1) or signed (-1 .. 1)");
ABSL_FLAG(int, features_channels, 3, "channels that a TorchScript file takes, 1 or 3");

namespace diffusiond {

absl::StatusOr<std::unique_ptr<FeatureNetwork>> OpenFeaturesFromFlags() {
  ScriptFeaturesOptions options;
  options.path = absl::GetFlag(FLAGS_features);
  if (options.path.empty()) {
    return absl::InvalidArgumentError(
        "--features is required; diffusion-train --image_classifier trains a small network for it");
  }
  if (options.path.extension() == ".safetensors") return ImageClassifier::Load(options.path);
  absl::StatusOr<PixelScale> scale = ParsePixelScale(absl::GetFlag(FLAGS_features_pixels));
  if (!scale.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--features_pixels: ", scale.status().message()));
  }
  options.scale = *scale;
  options.channels = absl::GetFlag(FLAGS_features_channels);
  if (options.channels != 1 && options.channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("--features_channels is ", options.channels, "; it must be 1 or 3"));
  }
  return OpenScriptFeatures(options);
}

}  // namespace diffusiond
