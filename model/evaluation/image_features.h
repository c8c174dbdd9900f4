// Images as vectors that mean more than pixels do.
#ifndef DIFFUSIOND_MODEL_EVALUATION_IMAGE_FEATURES_H_
#define DIFFUSIOND_MODEL_EVALUATION_IMAGE_FEATURES_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

struct ImageFeatures {
  int64_t images = 0;
  int64_t dimensions = 0;
  int64_t classes = 0;            // 0: the network has no classes.
  std::vector<float> values;      // [images, dimensions].
  std::vector<float> log_scores;  // [images, classes]: log p(class | image), up to a constant.
};

// The class of the greatest score of each image. The network must have classes.
std::vector<int64_t> LikeliestClasses(const ImageFeatures& features);

// Thread-compatible.
class FeatureNetwork {
 public:
  virtual ~FeatureNetwork() = default;

  // Equal for networks that give equal features; part of what cached features are kept under.
  virtual std::string identity() const = 0;

  // Gives its classes the order of `names`, a model's, where it knows what they are called.
  // INVALID_ARGUMENT names a class that it has not.
  virtual absl::Status NumberAs(const std::vector<std::string>& /*names*/) {
    return absl::OkStatus();
  }

  // Of at least one image; all of one shape, values in [-1, 1]. INVALID_ARGUMENT if the network
  // does not take or give what it should.
  virtual absl::StatusOr<ImageFeatures> Extract(std::span<const Frame> images) = 0;
};

// Share of `data`'s images, which must have classes, that the network puts into their own.
// INVALID_ARGUMENT if it has another number of classes.
absl::StatusOr<double> AccuracyOf(FeatureNetwork* network, const ImageDataset& data);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_IMAGE_FEATURES_H_
