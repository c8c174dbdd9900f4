#include "server/rpc/call_spans.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace diffusiond {
namespace {

constexpr char kService[] = "diffusiond.v1.DiffusionService";

// No method of gRPC has a space.
bool IsHttp(const EndedCall& call) { return absl::StrContains(call.method, ' '); }

// https://opentelemetry.io/docs/specs/semconv/http/http-spans/
std::vector<Span::Attribute> HttpAttributes(const EndedCall& call) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(call.method, absl::MaxSplits(' ', 1));
  std::vector<Span::Attribute> attributes = {{"http.request.method", parts.first},
                                             {"http.route", parts.second}};
  if (call.http_status.has_value()) {
    attributes.push_back({"http.response.status_code", int64_t{*call.http_status}});
  }
  return attributes;
}

// https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
std::vector<Span::Attribute> GrpcAttributes(const EndedCall& call) {
  return {{"rpc.system", std::string("grpc")},
          {"rpc.service", std::string(kService)},
          {"rpc.method", call.method},
          {"rpc.grpc.status_code", static_cast<int64_t>(call.status.code())}};
}

// What is an attribute already, or the span itself. A stream of HTTP that fails began with 200.
bool IsKnown(const std::string& key, bool is_http) {
  return key == "method" || (key == "code" && !is_http) || key == "seconds" || key == "trace_id" ||
         key == "error";
}

std::vector<Span::Attribute> AttributesOf(const EndedCall& call, const LogRecord& line) {
  const bool is_http = IsHttp(call);
  std::vector<Span::Attribute> attributes = is_http ? HttpAttributes(call) : GrpcAttributes(call);
  for (const LogRecord::Field& field : line.fields()) {
    if (!IsKnown(field.key, is_http)) {
      attributes.push_back({absl::StrCat("diffusiond.", field.key), field.value});
    }
  }
  return attributes;
}

}  // namespace

std::vector<Span> SpansOfCall(const Tracer& tracer, const TraceContext& trace,
                              const EndedCall& call, const LogRecord& line,
                              const std::optional<GenerationTimeline>& timeline) {
  std::vector<Span> spans;
  // As OpenTelemetry has it, a server's span failed when the server did: a refused request did not.
  spans.push_back(
      {.trace_id = trace.trace_id,
       .span_id = trace.span_id,
       .parent_id = trace.parent_id,
       .trace_state = trace.trace_state,
       .name = IsHttp(call) ? call.method : absl::StrCat(kService, "/", call.method),
       .kind = Span::Kind::kServer,
       .start = call.start,
       .end = call.end,
       .attributes = AttributesOf(call, line),
       .error = line.level() == LogLevel::kError ? std::string(call.status.message()) : ""});
  if (!timeline.has_value()) return spans;
  const auto add = [&](const char* name, absl::Time begun, absl::Duration took,
                       std::vector<Span::Attribute> attributes) {
    spans.push_back({.trace_id = trace.trace_id,
                     .span_id = tracer.NewSpanId(),
                     .parent_id = trace.span_id,
                     .trace_state = trace.trace_state,
                     .name = name,
                     .start = begun,
                     .end = begun + took,
                     .attributes = std::move(attributes)});
  };
  if (timeline->engine.has_value()) add("queue", timeline->accepted, timeline->engine->queue, {});
  for (const GenerationTimeline::Step& step : timeline->steps) {
    add("step", step.start, step.duration,
        {{"diffusiond.image_index", int64_t{step.image_index}},
         {"diffusiond.steps_done", int64_t{step.steps_done}},
         {"diffusiond.batch_images", int64_t{step.batch_images}}});
  }
  for (const GenerationTimeline::Encoding& encoding : timeline->encodings) {
    add("encode", encoding.start, encoding.duration,
        {{"diffusiond.image_index", int64_t{encoding.image_index}}});
  }
  return spans;
}

}  // namespace diffusiond
