// Texts inside PNG files: iTXt chunks (PNG specification, third edition, section 11.3.3.4). Free of
// state; any thread.
#ifndef DIFFUSIOND_MODEL_IMAGING_PNG_TEXT_H_
#define DIFFUSIOND_MODEL_IMAGING_PNG_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace diffusiond {

// `png` with `text` (UTF-8) in an uncompressed iTXt chunk behind its header; every other byte
// stays. `keyword` is of 1 to 79 printable ASCII characters. INVALID_ARGUMENT: not a PNG.
absl::StatusOr<std::string> AddPngText(std::string_view png, std::string_view keyword,
                                       std::string_view text);

struct PngText {
  std::string text;
  std::string png;  // The file without it: what AddPngText was given.
};

// The first text of that keyword. NOT_FOUND: a PNG without one. INVALID_ARGUMENT: not a PNG, one
// that is damaged up to there or ends too early, or a text that is compressed.
absl::StatusOr<PngText> TakePngText(std::string_view png, std::string_view keyword);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_PNG_TEXT_H_
