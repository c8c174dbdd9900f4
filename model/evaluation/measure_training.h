// Gathers a finished run's report: what it logged, and what can now be measured.
#ifndef DIFFUSIOND_MODEL_EVALUATION_MEASURE_TRAINING_H_
#define DIFFUSIOND_MODEL_EVALUATION_MEASURE_TRAINING_H_

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "model/evaluation/training_report.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

struct MeasureTrainingOptions {
  std::filesystem::path run;  // As RunDirectory writes it.
  std::string command;        // That started it.
  // Held-out images that bits/dim is measured on, each at t = 0 and 20 other timesteps; 0: none.
  int64_t bound_images = 64;
  uint64_t seed = 0;
  torch::Device device = torch::kCPU;
};

// Draws a few images from the run's checkpoint, finds the nearest training images, evaluates the
// variational bound. What this model or data cannot give becomes a note in the report. An error:
// the run's files cannot be read.
absl::StatusOr<TrainingReport> MeasureTraining(const MeasureTrainingOptions& options,
                                               const ImageDataset& train,
                                               const ImageDataset& held_out);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_MEASURE_TRAINING_H_
