// What every command begins with: a checkpoint, data, and a place for the results.
#ifndef DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_EVALUATION_INPUT_H_
#define DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_EVALUATION_INPUT_H_

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/sampler.h"
#include "model/training/data/open_dataset.h"

ABSL_DECLARE_FLAG(std::string, checkpoint);
ABSL_DECLARE_FLAG(std::string, out);
ABSL_DECLARE_FLAG(int, samples);
ABSL_DECLARE_FLAG(uint64_t, seed);

namespace diffusiond {

// --checkpoint, --data and --out are given, and there is a --device; the directory --out is there
// afterwards.
absl::StatusOr<std::filesystem::path> RequireFlags();

// Rows of one network call; at least 1.
absl::StatusOr<int> MicroBatchFromFlags();

// Errors as ParseDevice; none once RequireFlags had none.
absl::StatusOr<torch::Device> DeviceFromFlags();

// A split of --data, or what diffusion-train makes of it with the same flags, its classes numbered
// as the checkpoint's (OpenSplitFromFlags); at most `max_images`, evenly spread, or with 0 all.
// INVALID_ARGUMENT if the images are not of the network's shape.
absl::StatusOr<ImageDataset> OpenSplit(const CheckpointConfig& config, DatasetSplit split,
                                       int64_t max_images);

// For the commands that measure a model on data.
struct EvaluationInput {
  std::filesystem::path out;
  Checkpoint checkpoint;
  ModelSchedule model;
  ImageDataset data;
  std::vector<int64_t> labels;  // One an image.
  // "fashion-mnist: 440 images of the test split, each with its class, seed 0".
  std::string description;
  // Of everything that all results depend on: model, data, labels, seed, micro-batch.
  std::string fingerprint;
};

// By --split, --images and --condition; `default_images` is what --images=-1 means.
absl::StatusOr<EvaluationInput> OpenEvaluationInput(int64_t default_images);

absl::Status WritePngFile(const std::filesystem::path& path, const Image& image);

// Whether standard output is a terminal.
bool OutputIsTerminal();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_EVALUATION_INPUT_H_
