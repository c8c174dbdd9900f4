// The name of a model: a SHA-256 over what it computes with, and nothing about how it is stored.
//
//   "diffusiond checkpoint 1\n"
//   the configuration: one line of JSON with sorted keys, {"class_names", "null_class_id",
//       "scheduler", "unet"}, the latter two with the fields that FormatSchedulerConfig and
//       FormatUNetConfig write, except "_diffusers_version"
//   for each tensor, by name: one line of JSON {"dtype", "name", "shape"}, then its bytes
//   if there is a classifier: "classifier\n", one line of JSON with its fields, and its tensors
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_CHECKPOINT_DIGEST_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_CHECKPOINT_DIGEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

// INVALID_ARGUMENT if a name is not UTF-8. `config.generation` has no part in it.
absl::StatusOr<std::string> CheckpointDigest(const CheckpointConfig& config,
                                             const TensorMap& tensors,
                                             const TensorMap& classifier_tensors = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_CHECKPOINT_DIGEST_H_
