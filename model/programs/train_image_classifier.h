// diffusion-train --image_classifier: not a model, but what diffusion-eval judges one by.
#ifndef DIFFUSIOND_MODEL_PROGRAMS_TRAIN_IMAGE_CLASSIFIER_H_
#define DIFFUSIOND_MODEL_PROGRAMS_TRAIN_IMAGE_CLASSIFIER_H_

#include <filesystem>

#include "absl/status/status.h"
#include "model/evaluation/image_classifier.h"
#include "model/training/data/data_flags.h"

namespace diffusiond {

// Trains an ImageClassifier on data.train, writes it to `out`/classifier.safetensors and prints
// what share of data.held_out it puts into its class. `out` is made if it is not there.
// INVALID_ARGUMENT if the images have no classes.
absl::Status TrainImageClassifier(const TrainingData& data, const ClassifierOptions& options,
                                  const std::filesystem::path& out);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROGRAMS_TRAIN_IMAGE_CLASSIFIER_H_
