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

// One of the two, where the other may be missing. Its classes are numbered and called as in
// `class_names`, a model's, which may be empty: see NumberAsModel. Numbers that stand in the data's
// files hold, whatever names stand beside them, if some of those names are not the model's.
// INVALID_ARGUMENT: a folder, a table of names or --class_names has a class that the model has not.
absl::StatusOr<ImageDataset> OpenSplitFromFlags(DatasetSplit split,
                                                const std::vector<std::string>& class_names);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_DATA_FLAGS_H_
