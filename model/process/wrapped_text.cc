#include "model/process/wrapped_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace diffusiond {

std::string WrapText(absl::string_view text, int indent, int columns) {
  std::string wrapped;
  int used = indent;
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    const int width = static_cast<int>(word.size());
    if (used > indent && used + 1 + width > columns) {
      absl::StrAppend(&wrapped, "\n", std::string(static_cast<size_t>(indent), ' '));
      used = indent;
    }
    if (used > indent) {
      wrapped += ' ';
      ++used;
    }
    absl::StrAppend(&wrapped, word);
    used += width;
  }
  return wrapped;
}

}  // namespace diffusiond
