// Data beside a model that somebody trained before: whose number is a class?
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_MODEL_CLASSES_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_MODEL_CLASSES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// Gives labels and names of `data` the order of `classes`, a model's. Data whose names are but
// "0", "1", ..., and not the model's, keeps its numbers and takes the names, if they are enough;
// without labels, or of a model that names no class, nothing changes. INVALID_ARGUMENT names a
// class that the model has not.
absl::Status NumberAsModel(const std::vector<std::string>& classes, ImageDataset* data);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_MODEL_CLASSES_H_
