// Text of a request in an error.
#ifndef DIFFUSIOND_MODEL_PROCESS_QUOTED_VALUE_H_
#define DIFFUSIOND_MODEL_PROCESS_QUOTED_VALUE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

// A value of a request as an error shows it: quoted, escaped, and cut when it is long, because
// errors travel in HTTP/2 trailers, which peers limit to 8 KB.
std::string QuoteValue(absl::string_view value);

// At most `limit` bytes of UTF-8, cut between characters, and "..." where there were more.
std::string Shortened(absl::string_view text, size_t limit);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_QUOTED_VALUE_H_
