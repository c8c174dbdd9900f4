// Names that others put into every directory of a volume: no model's and no version's.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_RESERVED_NAMES_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_RESERVED_NAMES_H_

#include "absl/strings/string_view.h"

namespace diffusiond {

// Whose the name is, in words; empty: nobody's, or hidden.
absl::string_view ReservedFor(absl::string_view name);

// What readers of a repository pass over without a word: hidden names (what begins with a dot:
// half-written checkpoints, and what Kubernetes keeps behind its volumes) and reserved ones.
bool IsPassedOver(absl::string_view name);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_RESERVED_NAMES_H_
