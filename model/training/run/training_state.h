// All that training changes, and how it is kept on disk.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_TRAINING_STATE_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_TRAINING_STATE_H_

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "absl/status/status.h"

namespace diffusiond {

// Everything else (data order, noise, timesteps, learning rate) is a function of `step`. Vectors
// are [P] float32, laid out as FlattenParameters does.
struct TrainingState {
  int64_t step = 0;  // Steps done.
  torch::Tensor parameters;
  torch::Tensor ema;
  torch::Tensor first_moment;  // AdamW's m and v.
  torch::Tensor second_moment;
  int64_t skipped_steps = 0;  // Of `step`: they changed nothing else.
  // What else training changes (the history of an adaptive sampler of timesteps), by name; float32,
  // of any shape. A trainer that needs one puts it here before it loads.
  std::map<std::string, torch::Tensor> extra;

  // Steps that moved the parameters.
  int64_t updates() const { return step - skipped_steps; }
};

// The state's tensors by name, those of `extra` too.
std::map<std::string, torch::Tensor*> StateTensors(TrainingState* state);

// One safetensors file, replaced atomically, with a SHA-256 of all that counts in its metadata.
// `fingerprint` names what the run is (network, data, options); loading under another one is
// refused.
absl::Status SaveTrainingState(const std::filesystem::path& path, const TrainingState& state,
                               const std::string& fingerprint);

// Copies into the existing tensors of `state`, which say what shapes are expected; on an error
// `state` is as it was. NOT_FOUND: no such file. DATA_LOSS: damaged, as its checksum or its form
// says. FAILED_PRECONDITION: whole, but of another run.
absl::Status LoadTrainingState(const std::filesystem::path& path, const std::string& fingerprint,
                               TrainingState* state);

// Exponential moving average of the parameters (Ho et al. 2020, appendix B). The decay warms up as
// min(decay, (1 + step) / (10 + step)), so that early averages are not the initial values.
void UpdateEma(double decay, TrainingState* state);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_TRAINING_STATE_H_
