#include "server/rpc/call_spans.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

constexpr char kService[] = "diffusiond.v1.DiffusionService";

// What is an attribute already, or the span itself.
bool IsKnown(const std::string& key) {
  return key == "method" || key == "code" || key == "seconds" || key == "trace_id" ||
         key == "error";
}

std::vector<Span::Attribute> AttributesOf(const std::string& method, const absl::Status& status,
                                          const LogRecord& line) {
  std::vector<Span::Attribute> attributes = {
      {"rpc.system", std::string("grpc")},
      {"rpc.service", std::string(kService)},
      {"rpc.method", method},
      {"rpc.grpc.status_code", static_cast<int64_t>(status.code())}};
  for (const LogRecord::Field& field : line.fields()) {
    if (!IsKnown(field.key)) {
      attributes.push_back({absl::StrCat("diffusiond.", field.key), field.value});
    }
  }
  return attributes;
}

}  // namespace

std::vector<Span> SpansOfCall(const Tracer& tracer, const TraceContext& trace,
                              const std::string& method, absl::Time start, absl::Time end,
                              const absl::Status& status, const LogRecord& line,
                              const std::optional<GenerationTimeline>& timeline) {
  std::vector<Span> spans;
  // As OpenTelemetry has it, a server's span failed when the server did: a refused request did not.
  spans.push_back({.trace_id = trace.trace_id,
                   .span_id = trace.span_id,
                   .parent_id = trace.parent_id,
                   .trace_state = trace.trace_state,
                   .name = absl::StrCat(kService, "/", method),
                   .kind = Span::Kind::kServer,
                   .start = start,
                   .end = end,
                   .attributes = AttributesOf(method, status, line),
                   .error = line.level() == LogLevel::kError ? std::string(status.message()) : ""});
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
