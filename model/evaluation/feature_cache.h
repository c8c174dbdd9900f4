// Features of data sets, computed once.
#ifndef DIFFUSIOND_MODEL_EVALUATION_FEATURE_CACHE_H_
#define DIFFUSIOND_MODEL_EVALUATION_FEATURE_CACHE_H_

#include <filesystem>

#include "absl/status/statusor.h"
#include "model/evaluation/image_features.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// The features of all of `data`: from the file in `directory` that is named after the data's digest
// and the network's identity, or if there is none, extracted and kept there. 8 bytes a number.
absl::StatusOr<ImageFeatures> CachedFeatures(const std::filesystem::path& directory,
                                             const ImageDataset& data, FeatureNetwork* network);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_FEATURE_CACHE_H_
