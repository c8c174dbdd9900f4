#include "server/rpc/call_scope.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace diffusiond {
namespace {

// Log lines are for people and simple tools: one line, whatever a request contains.
std::string LogValue(absl::string_view value) {
  if (!value.empty() && value.find_first_of(" =\"\\\n\r\t") == absl::string_view::npos) {
    return absl::Utf8SafeCHexEscape(value);
  }
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(value), "\"");
}

// What the server is to blame for is an error.
LogLevel LevelOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kCancelled:
      return LogLevel::kInfo;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return LogLevel::kError;
    default:
      return LogLevel::kWarning;
  }
}

}  // namespace

CallScope::CallScope(std::shared_ptr<const ServiceContext> context, std::string method,
                     std::string peer)
    : context_(std::move(context)),
      method_(std::move(method)),
      start_(context_->now()),
      request_id_(absl::StrFormat("%016x", context_->random())),
      admitted_(context_->calls->Enter()) {
  context_->metrics->OnRequestStarted(method_);
  Note("peer", peer);
}

CallScope::~CallScope() {
  if (!ended_) End(absl::InternalError("the call ended without a status"));
}

absl::Status CallScope::Admission() const {
  if (admitted_) return absl::OkStatus();
  return absl::UnavailableError("the server is draining; try another replica");
}

absl::Duration CallScope::age() const { return context_->now() - start_; }

void CallScope::Note(absl::string_view key, absl::string_view value) {
  absl::StrAppend(&line_, " ", key, "=", LogValue(value));
}

void CallScope::End(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  const absl::Duration duration = age();
  const std::string code = absl::StatusCodeToString(status.code());
  context_->metrics->OnRequestFinished(method_, code, duration);
  if (!status.ok()) Note("error", status.message());
  const std::string line =
      absl::StrCat("method=", method_, " request_id=", request_id_, " code=", code,
                   absl::StrFormat(" seconds=%.3f", absl::ToDoubleSeconds(duration)), line_);
  if (status.ok() || accepted_) {
    context_->log->Write(LevelOf(status), line);
  } else {
    context_->log->WriteRefusal(code, line);
  }
  context_->calls->Leave();
}

}  // namespace diffusiond
