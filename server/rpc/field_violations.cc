#include "server/rpc/field_violations.h"

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// With every field of a request wrong at once, message and base64 details stay below 8 KB.
constexpr size_t kMaxValueBytes = 48;
constexpr size_t kMaxDescriptionBytes = 256;
constexpr size_t kMaxMessageBytes = 1024;

// Cuts UTF-8 between characters: protobuf strings and error texts must stay valid.
std::string Shortened(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return absl::StrCat(text.substr(0, limit), "...");
}

}  // namespace

std::string QuoteValue(absl::string_view value) {
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(Shortened(value, kMaxValueBytes)), "\"");
}

void FieldViolations::Add(absl::string_view field, absl::string_view description) {
  google::rpc::BadRequest::FieldViolation* violation = details_.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(Shortened(description, kMaxDescriptionBytes));
}

absl::Status FieldViolations::ToStatus() const {
  if (empty()) return absl::OkStatus();
  std::string message;
  for (const auto& violation : details_.field_violations()) {
    absl::StrAppend(&message, message.empty() ? "" : "; ", violation.field(), ": ",
                    violation.description());
  }
  absl::Status status = absl::InvalidArgumentError(Shortened(message, kMaxMessageBytes));
  status.SetPayload(kBadRequestTypeUrl, absl::Cord(details_.SerializeAsString()));
  return status;
}

}  // namespace diffusiond
