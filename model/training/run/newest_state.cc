#include "model/training/run/newest_state.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::Status LoadNewestState(const RunDirectory& directory, const std::vector<SavedState>& states,
                             const std::string& fingerprint,
                             const std::function<void(absl::string_view)>& warn,
                             TrainingState* state) {
  for (const SavedState& saved : states) {
    absl::Status status = LoadTrainingState(saved.path, fingerprint, state);
    if (!absl::IsDataLoss(status)) return status;
    warn(absl::StrCat(status.message(), "; going back to the state before it"));
    RETURN_IF_ERROR(directory.SetAside(saved));
  }
  // Also those that an earlier process set aside: beginning anew would hide what was lost.
  ASSIGN_OR_RETURN(const std::vector<SavedState> damaged, directory.DamagedStates());
  if (damaged.empty()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(directory.path().string(), ": of ", damaged.size(),
                   " saved states none is whole; to begin anew, give another --out or remove this "
                   "directory"));
}

}  // namespace diffusiond
