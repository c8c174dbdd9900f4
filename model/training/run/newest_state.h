// Where a run goes on from.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_NEWEST_STATE_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_NEWEST_STATE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "model/training/run/run_directory.h"
#include "model/training/run/training_state.h"

namespace diffusiond {

// Loads the newest of `states` (the directory's, newest first) that is whole, and sets aside, with
// a warning, those before it that are not. OK with `state` as it was: there never was one.
// DATA_LOSS: there are some, and none is whole. FAILED_PRECONDITION: it is another run's.
absl::Status LoadNewestState(const RunDirectory& directory, const std::vector<SavedState>& states,
                             const std::string& fingerprint,
                             const std::function<void(absl::string_view)>& warn,
                             TrainingState* state);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_NEWEST_STATE_H_
