// The trace of one call.
#ifndef DIFFUSIOND_SERVER_RPC_CALL_SPANS_H_
#define DIFFUSIOND_SERVER_RPC_CALL_SPANS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/logging/log_record.h"
#include "server/rpc/generation_run.h"
#include "server/tracing/span.h"
#include "server/tracing/trace_context.h"
#include "server/tracing/tracer.h"

namespace diffusiond {

struct EndedCall {
  std::string method;  // "Generate"; of HTTP, with its route, "GET /v1/models/*".
  std::optional<int> http_status = std::nullopt;  // That an answer began with.
  absl::Time start = {};
  absl::Time end = {};
  absl::Status status;
};

// The call's own span, with the fields of its log line, and below it: "queue", until the first step
// began; "step", for some steps of its images, the step batch that each was part of; "encode", for
// its images. Attributes of OpenTelemetry's conventions for RPC, or for HTTP, else under
// "diffusiond.".
std::vector<Span> SpansOfCall(const Tracer& tracer, const TraceContext& trace,
                              const EndedCall& call, const LogRecord& line,
                              const std::optional<GenerationTimeline>& timeline);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_CALL_SPANS_H_
