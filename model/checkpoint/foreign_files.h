// What lies where a checkpoint was expected, and what to do about it: the end of a refusal.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_FOREIGN_FILES_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_FOREIGN_FILES_H_

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// Of a directory without a network's configuration: a folder in it that has one, a file that holds
// a whole model, else the names of its entries. Begins with "; "; empty if it cannot be listed.
std::string WhatLiesIn(const std::filesystem::path& directory);

// Of a folder without weights that are read, as WhatLiesIn: weights under a variant's name, weights
// in pieces, else the names.
std::string WhatWeightsLieIn(const std::filesystem::path& folder);

// OK, or what the text of a file is instead of weights: Git LFS's pointer, or a page of HTML.
absl::Status CheckIsBinary(absl::string_view text);

// Why a path that is not a directory, or cannot be opened, is no checkpoint.
absl::Status NoDirectory(const std::filesystem::path& path, int error);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_FOREIGN_FILES_H_
