// The flags that say what images are judged by.
#ifndef DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_FEATURE_FLAGS_H_
#define DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_FEATURE_FLAGS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/evaluation/image_features.h"

namespace diffusiond {

// By --features, --features_pixels and --features_channels. INVALID_ARGUMENT names the flag.
absl::StatusOr<std::unique_ptr<FeatureNetwork>> OpenFeaturesFromFlags();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_FEATURE_FLAGS_H_
