// Class labels and their names.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_LABELS_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_LABELS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

// The names of the classes that `labels` (not empty) speak of.
//
// With `names`, every label must be in [0, names.size()). Without, classes are called "0", "1", ...
// and each class up to the largest label must have an image: a stray label among thousands is a
// damaged file more often than a class. InvalidArgument names the first image that is wrong.
absl::StatusOr<std::vector<std::string>> NameClasses(std::span<const int32_t> labels,
                                                     std::span<const std::string> names);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_LABELS_H_
