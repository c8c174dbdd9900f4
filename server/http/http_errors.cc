#include "server/http/http_errors.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "server/engine/refusal.h"
#include "server/http/json_body.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {
namespace {

using Json = nlohmann::ordered_json;

const char* TypeOf(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 404) return "not_found_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

HttpAnswer AnswerOf(int status, const Json& body) {
  return {.head = {.status = status, .content_type = "application/json"},
          .body = absl::StrCat(TextOf(body), "\n")};
}

std::optional<google::rpc::BadRequest> BadRequestOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kBadRequestTypeUrl);
  google::rpc::BadRequest details;
  if (!payload.has_value() || !details.ParseFromString(std::string(*payload))) return std::nullopt;
  return details;
}

}  // namespace

std::string FlatName(const std::string& field) {
  for (const char* part : {"sampling.", "preview."}) {
    if (absl::StartsWith(field, part)) return std::string(absl::StripPrefix(field, part));
  }
  return field;
}

absl::Status InNamesOf(FieldName name_of, const absl::Status& status) {
  std::optional<google::rpc::BadRequest> details = BadRequestOf(status);
  if (name_of == nullptr || !details.has_value()) return status;
  for (auto& violation : *details->mutable_field_violations()) {
    violation.set_field(name_of(violation.field()));
  }
  return BadRequestStatus(*details);
}

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

Json ErrorJson(const absl::Status& status) {
  Json error = {{"message", std::string(status.message())},
                {"type", TypeOf(HttpStatusOf(status.code()))},
                {"param", nullptr},
                {"code", absl::StatusCodeToString(status.code())}};
  if (const auto details = BadRequestOf(status); details && !details->field_violations().empty()) {
    error["param"] = details->field_violations(0).field();
    error["violations"] = Json::array();
    for (const auto& violation : details->field_violations()) {
      error["violations"].push_back(
          {{"field", violation.field()}, {"description", violation.description()}});
    }
  }
  return {{"error", std::move(error)}};
}

HttpAnswer ErrorAnswer(const absl::Status& status) {
  HttpAnswer answer = AnswerOf(HttpStatusOf(status.code()), ErrorJson(status));
  if (const std::optional<absl::Duration> delay = RetryAfter(status)) {
    const double seconds = std::max(1.0, std::ceil(absl::ToDoubleSeconds(*delay)));
    answer.head.headers.emplace_back("Retry-After", absl::StrCat(seconds));
  }
  if (absl::IsUnauthenticated(status)) {
    answer.head.headers.emplace_back("WWW-Authenticate", "Bearer");
  }
  return answer;
}

HttpAnswer RefusalAnswer(int status, const std::string& text) {
  return AnswerOf(
      status,
      {{"error",
        {{"message", text}, {"type", TypeOf(status)}, {"param", nullptr}, {"code", nullptr}}}});
}

}  // namespace diffusiond
