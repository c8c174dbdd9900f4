// Text for terminals.
#ifndef DIFFUSIOND_MODEL_PROCESS_WRAPPED_TEXT_H_
#define DIFFUSIOND_MODEL_PROCESS_WRAPPED_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

// `text` in lines of at most `columns` bytes, broken at blanks (a longer word stands alone), each
// after the first behind `indent` blanks; the first begins at column `indent`, which is the
// caller's.
std::string WrapText(absl::string_view text, int indent, int columns);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_WRAPPED_TEXT_H_
