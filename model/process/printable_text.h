// Text of others (a server's, a file's) on its way to a terminal or a log.
#ifndef DIFFUSIOND_MODEL_PROCESS_PRINTABLE_TEXT_H_
#define DIFFUSIOND_MODEL_PROCESS_PRINTABLE_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

bool IsUtf8(absl::string_view text);

// Whether it is text and nothing but text to a terminal: UTF-8 without control characters (C0, DEL,
// C1), without those that turn the direction of what stands beside them, and of one line.
bool IsPrintable(absl::string_view text);

// The same text, with \n, \r, \t and \x1b in place of bytes that are not printable. Backslashes
// stay as they are, so that nothing is escaped twice.
std::string Printable(absl::string_view text);

// The same, but for line ends, which stay.
std::string PrintableLines(absl::string_view text);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_PRINTABLE_TEXT_H_
