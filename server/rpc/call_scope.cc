#include "server/rpc/call_scope.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "server/rpc/call_spans.h"
#include "server/rpc/counted_calls.h"

namespace diffusiond {
namespace {

// What the server is to blame for is an error.
LogLevel LevelOf(const absl::Status& status, bool accepted) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return LogLevel::kInfo;
    case absl::StatusCode::kCancelled:
      return accepted ? LogLevel::kInfo : LogLevel::kWarning;
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
                     const CallOrigin& origin)
    : context_(std::move(context)),
      method_(std::move(method)),
      start_(context_->now()),
      request_id_(absl::StrFormat("%016x", context_->random())),
      trace_(context_->tracer->Begin(origin.traceparent, origin.tracestate)),
      admitted_(context_->calls->Enter()),
      limit_passed_(context_->call_limit_passed(origin.peer)),
      record_(LogLevel::kInfo, "call") {
  context_->metrics->OnRequestStarted(method_);
  if (limit_passed_ != nullptr) context_->metrics->OnCallRefused(limit_passed_);
  if (!trace_.trace_id.empty()) Note("trace_id", trace_.trace_id);
  Note("peer", origin.peer);
}

CallScope::~CallScope() {
  if (!ended_) End(absl::InternalError("the call ended without a status"));
}

absl::Status CallScope::Admission() const {
  if (admitted_ && limit_passed_ == nullptr) return absl::OkStatus();
  if (admitted_) return absl::ResourceExhaustedError(CallLimitMessage(limit_passed_));
  return absl::UnavailableError("the server is draining; try another replica");
}

absl::Duration CallScope::age() const { return context_->now() - start_; }

void CallScope::CountImage(const std::string& format, size_t bytes) {
  ++images_;
  bytes_ += bytes;
  context_->metrics->OnImageSent(format, bytes);
}

void CallScope::CountPreview() {
  ++previews_;
  context_->metrics->OnPreviewSent();
  if (previews_ == 1) context_->metrics->OnFirstPreview(age());
}

void CallScope::End(const absl::Status& status, const std::optional<GenerationTimeline>& timeline) {
  if (ended_) return;
  ended_ = true;
  const absl::Duration duration = age();
  context_->metrics->OnRequestFinished(method_, absl::StatusCodeToString(status.code()), duration);
  if (!polled_ || !status.ok()) {
    const LogRecord line = Line(status, duration, timeline);
    Write(status, line);
    if (trace_.is_recorded()) {
      context_->tracer->Export(SpansOfCall(*context_->tracer, trace_,
                                           {.method = method_,
                                            .http_status = http_status_,
                                            .start = start_,
                                            .end = start_ + duration,
                                            .status = status},
                                           line, timeline));
    }
  }
  context_->calls->Leave();
}

LogRecord CallScope::Line(const absl::Status& status, absl::Duration duration,
                          const std::optional<GenerationTimeline>& timeline) const {
  LogRecord line(LevelOf(status, accepted_), record_.event());
  line.Add("method", method_)
      .Add("request_id", request_id_)
      .Add("code", absl::StatusCodeToString(status.code()))
      .Add("seconds", duration);
  for (const LogRecord::Field& field : record_.fields()) line.Add(field);
  if (timeline.has_value()) {
    line.Add("images", images_).Add("bytes", bytes_).Add("previews", previews_);
    if (timeline->engine.has_value()) {
      line.Add("queue_seconds", timeline->engine->queue)
          .Add("compute_seconds", timeline->engine->compute);
    }
    line.Add("encode_seconds", timeline->encode);
  }
  if (!status.ok()) line.Add("error", status.message());
  return line;
}

void CallScope::Write(const absl::Status& status, const LogRecord& line) const {
  if (context_->access_log != nullptr) {
    context_->access_log->Write(line);
    // One place for calls, and one for what somebody should look at.
    if (line.level() != LogLevel::kError) return;
  }
  if (status.ok() || accepted_) {
    context_->log->Write(line);
  } else {
    context_->log->WriteRefusal(absl::StatusCodeToString(status.code()), line);
  }
}

}  // namespace diffusiond
