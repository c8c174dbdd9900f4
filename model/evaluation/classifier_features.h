// Features by a small classifier of the data itself: quality as a number without any other file.
#ifndef DIFFUSIOND_MODEL_EVALUATION_CLASSIFIER_FEATURES_H_
#define DIFFUSIOND_MODEL_EVALUATION_CLASSIFIER_FEATURES_H_

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "model/evaluation/image_features.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// ImageClassifier, trained on `train`, which must have classes, or read from `directory`, where it
// is kept under the data's digest. Distances compare between models judged by one such file, not
// with those that other networks give.
absl::StatusOr<std::unique_ptr<FeatureNetwork>> OpenClassifierFeatures(
    const ImageDataset& train, const std::filesystem::path& directory);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_CLASSIFIER_FEATURES_H_
