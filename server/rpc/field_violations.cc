#include "server/rpc/field_violations.h"

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/process/printable_text.h"
#include "model/process/quoted_value.h"

namespace diffusiond {
namespace {

// With every field of a request wrong at once, message and base64 details stay below 8 KB.
constexpr size_t kMaxDescriptionBytes = 256;
constexpr size_t kMaxMessageBytes = 1024;

// A message of protobuf holds no other text.
std::string Utf8Of(absl::string_view text) {
  return IsUtf8(text) ? std::string(text) : absl::CHexEscape(text);
}

}  // namespace

void FieldViolations::Add(absl::string_view field, absl::string_view description) {
  if (details_.field_violations_size() == kMaxFieldViolations) {
    ++left_out_;
    return;
  }
  google::rpc::BadRequest::FieldViolation* violation = details_.add_field_violations();
  violation->set_field(Utf8Of(field));
  violation->set_description(Shortened(Utf8Of(description), kMaxDescriptionBytes));
}

absl::Status FieldViolations::ToStatus() const {
  google::rpc::BadRequest told = details_;
  if (left_out_ > 0) {
    google::rpc::BadRequest::FieldViolation* more = told.add_field_violations();
    more->set_field("...");
    more->set_description(absl::StrCat("and ", left_out_, " more"));
  }
  return BadRequestStatus(told);
}

absl::Status BadRequestStatus(const google::rpc::BadRequest& details) {
  if (details.field_violations().empty()) return absl::OkStatus();
  std::string message;
  for (const auto& violation : details.field_violations()) {
    absl::StrAppend(&message, message.empty() ? "" : "; ", violation.field(), ": ",
                    violation.description());
  }
  absl::Status status = absl::InvalidArgumentError(Shortened(message, kMaxMessageBytes));
  status.SetPayload(kBadRequestTypeUrl, absl::Cord(details.SerializeAsString()));
  return status;
}

}  // namespace diffusiond
