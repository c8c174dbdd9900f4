// "Did you mean ...?"
#ifndef DIFFUSIOND_MODEL_PROCESS_NEAREST_WORD_H_
#define DIFFUSIOND_MODEL_PROCESS_NEAREST_WORD_H_

#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

// The word of `words` that `word` was probably meant to be; empty if none is near.
std::string NearestWord(absl::string_view word, std::span<const std::string> words);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_NEAREST_WORD_H_
