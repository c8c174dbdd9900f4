#include "server/http/logged_refusal.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/process/quoted_value.h"
#include "server/http/http_errors.h"
#include "server/logging/log_record.h"

namespace diffusiond {
namespace {

// Of a stranger's.
constexpr size_t kMaxPathBytes = 200;
constexpr size_t kMaxReasonBytes = 300;

// gRPC's word, as lines of calls have it.
absl::StatusCode CodeOf(int status) {
  switch (status) {
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 408:
      return absl::StatusCode::kDeadlineExceeded;
    case 413:
    case 431:
      return absl::StatusCode::kResourceExhausted;
    case 405:
    case 501:
    case 505:
      return absl::StatusCode::kUnimplemented;
    case 503:
      return absl::StatusCode::kUnavailable;
    default:
      return status < 500 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kInternal;
  }
}

}  // namespace

HttpAnswer LoggedRefusal(const ServiceContext& context, int status, const std::string& text,
                         const HttpRequest* request) {
  const std::string code = absl::StatusCodeToString(CodeOf(status));
  LogRecord line(LogLevel::kWarning, "http");
  if (request != nullptr) {
    line.Add("method", Shortened(absl::StrCat(request->method, " ", request->path), kMaxPathBytes));
  }
  line.Add("code", code).Add("status", status);
  if (request != nullptr) line.Add("peer", request->peer);
  line.Add("error", Shortened(text, kMaxReasonBytes));
  if (context.access_log != nullptr) {
    context.access_log->Write(line);
  } else {
    context.log->WriteRefusal(code, line);
  }
  return RefusalAnswer(status, text);
}

}  // namespace diffusiond
