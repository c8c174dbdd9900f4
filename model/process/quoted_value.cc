#include "model/process/quoted_value.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/process/printable_text.h"

namespace diffusiond {
namespace {

// With every field of a request wrong at once, message and base64 details stay below 8 KB.
constexpr size_t kMaxValueBytes = 48;

}  // namespace

std::string Shortened(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  // Protobuf strings and error texts must stay valid.
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return absl::StrCat(text.substr(0, limit), "...");
}

std::string QuoteValue(absl::string_view value) {
  const std::string shown = Shortened(value, kMaxValueBytes);
  return absl::StrCat(
      "\"", IsUtf8(shown) ? absl::Utf8SafeCHexEscape(shown) : absl::CHexEscape(shown), "\"");
}

}  // namespace diffusiond
