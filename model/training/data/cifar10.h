// CIFAR-10's binary version.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_CIFAR10_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_CIFAR10_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// Records of 3,073 bytes: a label of 0 .. 9, then a 32 x 32 plane each of red, green and blue, row
// by row. The files' records follow each other in the order of `files` (at least one).
//
// class_names and digest are left empty. InvalidArgument, naming the file, for an empty one, a size
// that is not a multiple of 3,073, and a label over 9. ResourceExhausted past `max_bytes`.
absl::StatusOr<ImageDataset> ReadCifar10(std::span<const std::filesystem::path> files,
                                         int64_t max_bytes = kMaxDatasetBytes);

// The ten class names of a batches.meta.txt, one a line; empty lines do not count. InvalidArgument
// for another number of them.
absl::StatusOr<std::vector<std::string>> ReadCifar10ClassNames(const std::filesystem::path& file);

// The published names, for data that comes without a batches.meta.txt.
std::vector<std::string> Cifar10ClassNames();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_CIFAR10_H_
