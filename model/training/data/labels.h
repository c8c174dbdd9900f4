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

// Whether they are "0", "1", ... in order: classes of which nobody said a name.
bool AreNumbers(std::span<const std::string> names);

// Where each of `names` stands in `classes`; -1: nowhere.
std::vector<int32_t> IndicesIn(std::span<const std::string> classes,
                               std::span<const std::string> names);
bool AreAllIn(std::span<const std::string> classes, std::span<const std::string> names);

// Label k becomes numbers[k]; each must have one.
void Renumber(std::span<const int32_t> numbers, std::vector<int32_t>* labels);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_LABELS_H_
