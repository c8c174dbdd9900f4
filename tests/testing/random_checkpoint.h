// A checkpoint of any size, with weights as they are before training.
#ifndef DIFFUSIOND_TESTS_TESTING_RANDOM_CHECKPOINT_H_
#define DIFFUSIOND_TESTS_TESTING_RANDOM_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"

namespace diffusiond {

// Writes it, and returns the bytes of its weights.
absl::StatusOr<int64_t> WriteRandomCheckpoint(const std::filesystem::path& directory,
                                              const CheckpointConfig& config, uint64_t seed);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_RANDOM_CHECKPOINT_H_
