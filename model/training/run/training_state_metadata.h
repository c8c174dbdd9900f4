// What the file of a training state says of itself, beside its tensors: of which run and step it
// is, and a SHA-256 of all that counts. Written and judged without LibTorch.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_TRAINING_STATE_METADATA_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_TRAINING_STATE_METADATA_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

// As safetensors have it.
using StateMetadata = std::map<std::string, std::string>;

// Of a state's tensors, by name; all are float32.
using StateShapes = std::map<std::string, std::vector<int64_t>>;

struct StateSteps {
  int64_t done = 0;
  int64_t skipped = 0;  // Of `done`.
};

// `fingerprint` names what the run is.
StateMetadata MakeStateMetadata(StateSteps steps, const std::string& fingerprint,
                                const TensorMap& tensors);

// `metadata` with the SHA-256 of themselves and `tensors`, in place of one that they had.
StateMetadata Checksummed(StateMetadata metadata, const TensorMap& tensors);

// The steps of a state that is whole, of this run, and has the tensors `expected` (others are left
// alone). DATA_LOSS: damaged, as its checksum or its form says. FAILED_PRECONDITION: whole, but
// under another fingerprint.
absl::StatusOr<StateSteps> CheckState(const StateMetadata& metadata, const TensorMap& tensors,
                                      const std::string& fingerprint, const StateShapes& expected);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_TRAINING_STATE_METADATA_H_
