#include "model/evaluation/classifier_features.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/sha256.h"
#include "model/evaluation/image_classifier.h"

namespace diffusiond {
namespace {

class ClassifierFeatures : public FeatureNetwork {
 public:
  ClassifierFeatures(std::unique_ptr<ImageClassifier> classifier, std::string identity)
      : classifier_(std::move(classifier)), identity_(std::move(identity)) {}

  std::string identity() const override { return identity_; }
  absl::StatusOr<ImageFeatures> Extract(std::span<const Frame> images) override {
    return classifier_->Features(images);
  }

 private:
  const std::unique_ptr<ImageClassifier> classifier_;
  const std::string identity_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FeatureNetwork>> OpenClassifierFeatures(
    const ImageDataset& train, const std::filesystem::path& directory) {
  const ClassifierOptions options;
  std::string identity = ImageClassifier::Identity(train, options);
  absl::StatusOr<std::unique_ptr<ImageClassifier>> classifier = ImageClassifier::TrainOrLoad(
      train, options,
      directory / absl::StrCat("classifier-", Sha256Hex(identity).substr(0, 16), ".safetensors"));
  if (!classifier.ok()) return classifier.status();
  return std::make_unique<ClassifierFeatures>(*std::move(classifier), std::move(identity));
}

}  // namespace diffusiond
