// Forms with files: multipart/form-data (RFC 7578, RFC 2046 section 5.1).
#ifndef DIFFUSIOND_MODEL_HTTP_MULTIPART_FORM_H_
#define DIFFUSIOND_MODEL_HTTP_MULTIPART_FORM_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

inline constexpr size_t kMaxFormParts = 100;
inline constexpr size_t kMaxPartHeaderBytes = 4 << 10;  // Of one part.

struct FormPart {
  std::string name;           // As it is sent: a browser writes a quote as %22.
  bool is_file = false;       // It has a file's name.
  absl::string_view content;  // Of the form's body.
};

// In the order in which they came; a name may come again. INVALID_ARGUMENT: `content_type` is that
// of no such form; a part that does not end, or has no name, or another transfer encoding than
// none; more or larger than the constants above.
absl::StatusOr<std::vector<FormPart>> ParseMultipartForm(absl::string_view content_type,
                                                         absl::string_view body);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_MULTIPART_FORM_H_
