#include "model/evaluation/image_features.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {

std::vector<int64_t> LikeliestClasses(const ImageFeatures& features) {
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < features.images; ++i) {
    const auto scores = features.log_scores.begin() + i * features.classes;
    classes.push_back(std::max_element(scores, scores + features.classes) - scores);
  }
  return classes;
}

absl::StatusOr<double> AccuracyOf(FeatureNetwork* network, const ImageDataset& data) {
  if (data.labels.empty()) return absl::InvalidArgumentError("the images have no classes");
  std::vector<Frame> frames;
  for (int64_t i = 0; i < data.size(); ++i) frames.push_back(ToFrame(ImageAt(data, i)));
  ASSIGN_OR_RETURN(const ImageFeatures features, network->Extract(frames));
  if (features.classes != static_cast<int64_t>(data.class_names.size())) {
    return absl::InvalidArgumentError(absl::StrCat("the network has ", features.classes,
                                                   " classes; the images have ",
                                                   data.class_names.size()));
  }
  const std::vector<int64_t> judged = LikeliestClasses(features);
  int64_t right = 0;
  for (size_t i = 0; i < judged.size(); ++i) right += judged[i] == data.labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(data.size());
}

}  // namespace diffusiond
