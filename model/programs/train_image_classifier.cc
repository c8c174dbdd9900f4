#include "model/programs/train_image_classifier.h"

#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::Status TrainImageClassifier(const TrainingData& data, const ClassifierOptions& options,
                                  const std::filesystem::path& out) {
  if (out.empty()) return absl::InvalidArgumentError("--out is required");
  if (data.train.class_names.empty()) {
    return absl::InvalidArgumentError("--image_classifier: the images have no classes");
  }
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out is ", out.string(), ": ", error.message()));
  }
  const std::unique_ptr<ImageClassifier> classifier = ImageClassifier::Train(data.train, options);
  const std::filesystem::path path = out / "classifier.safetensors";
  RETURN_IF_ERROR(classifier->Save(path));
  if (data.held_out.size() > 0) {
    ASSIGN_OR_RETURN(const double accuracy, AccuracyOf(classifier.get(), data.held_out));
    std::printf("%.1f %% of %lld held-out images right: ", 100 * accuracy,
                static_cast<long long>(data.held_out.size()));
  }
  std::printf("%s\n", path.c_str());
  return absl::OkStatus();
}

}  // namespace diffusiond
