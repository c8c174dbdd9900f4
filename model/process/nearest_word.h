// "Did you mean ...?"
#ifndef DIFFUSIOND_MODEL_PROCESS_NEAREST_WORD_H_
#define DIFFUSIOND_MODEL_PROCESS_NEAREST_WORD_H_

#include <cstddef>
#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

// In bytes: how many to put in, take out or replace, or pairs of neighbours to swap, each pair once
// (the optimal string alignment distance). O(a * b).
size_t EditDistance(absl::string_view a, absl::string_view b);

// The word of `words` that `word` was probably meant to be; empty if none is near.
std::string NearestWord(absl::string_view word, std::span<const std::string> words);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_NEAREST_WORD_H_
