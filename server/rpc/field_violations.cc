#include "server/rpc/field_violations.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "model/process/quoted_value.h"

namespace diffusiond {
namespace {

// With every field of a request wrong at once, message and base64 details stay below 8 KB.
constexpr size_t kMaxDescriptionBytes = 256;
constexpr size_t kMaxMessageBytes = 1024;

}  // namespace

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
