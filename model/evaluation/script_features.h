// Features by a TorchScript file that the user brings, such as an export of Inception v3.
#ifndef DIFFUSIOND_MODEL_EVALUATION_SCRIPT_FEATURES_H_
#define DIFFUSIOND_MODEL_EVALUATION_SCRIPT_FEATURES_H_

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/evaluation/image_features.h"

namespace diffusiond {

// What pixels are to the network.
enum class PixelScale {
  kBytes,   // uint8, 0 .. 255.
  kUnit,    // float32, 0 .. 1.
  kSigned,  // float32, -1 .. 1.
};

// "bytes", "unit" or "signed".
absl::StatusOr<PixelScale> ParsePixelScale(const std::string& name);

struct ScriptFeaturesOptions {
  std::filesystem::path path;  // torch.jit.save wrote it. Run only what you trust.
  PixelScale scale = PixelScale::kBytes;
  int channels = 3;  // 1 or 3: grey images are repeated, colour ones averaged, to make it so.
  int64_t batch = 64;
};

// forward(x [N, channels, H, W]) gives features [N, D], or a tuple of features and class scores
// [N, K] (logits or log-probabilities), floating-point. The network resizes as it needs. Its
// identity is the file's digest and the options that change what it sees.
//
// NOT_FOUND: no such file. INVALID_ARGUMENT: no TorchScript; later, from Extract: forward failed on
// the images, or gave something else.
absl::StatusOr<std::unique_ptr<FeatureNetwork>> OpenScriptFeatures(
    const ScriptFeaturesOptions& options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_SCRIPT_FEATURES_H_
