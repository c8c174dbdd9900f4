// The flags that say what images there are, the same for diffusion-train and diffusion-eval: what
// one holds out, the other measures on.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_DATA_FLAGS_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_DATA_FLAGS_H_

#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/status/statusor.h"
#include "model/training/data/open_dataset.h"

ABSL_DECLARE_FLAG(std::string, data);

namespace diffusiond {

struct TrainingData {
  ImageDataset train;
  ImageDataset held_out;  // The data's test split, or a share of the rest.
};

// INVALID_ARGUMENT names the flag.
absl::StatusOr<TrainingData> OpenDataFromFlags();

// One of the two, where the other may be missing. `class_names`: what its classes, if it has any
// and no more than so many, are called where --class_names does not say.
absl::StatusOr<ImageDataset> OpenSplitFromFlags(DatasetSplit split,
                                                const std::vector<std::string>& class_names);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_DATA_FLAGS_H_
