// Any bytes as the saved state of a training run: it is refused and the state is as it was, or it
// is read whole.
#include <cstdint>
#include <cstdlib>

#include "model/training/run/training_state.h"
#include "tests/fuzz/scratch_folder.h"

namespace diffusiond {
namespace {

TrainingState Fresh() {
  TrainingState state;
  for (auto& [name, tensor] : StateTensors(&state)) *tensor = torch::full({3}, 2.0f);
  return state;
}

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  static const ScratchFolder folder;
  static const bool whole = [] {
    return SaveTrainingState(folder.path() / "whole", Fresh(), "run").ok();
  }();
  if (!whole) std::abort();
  folder.Write("state", {reinterpret_cast<const char*>(data), size});
  TrainingState state = Fresh();
  const absl::Status status = LoadTrainingState(folder.path() / "state", "run", &state);
  if (status.ok()) return 0;
  if (state.step != 0 || state.skipped_steps != 0) std::abort();
  for (auto& [name, tensor] : StateTensors(&state)) {
    if (!torch::equal(*tensor, torch::full({3}, 2.0f))) std::abort();
  }
  return 0;
}
