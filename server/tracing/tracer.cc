#include "server/tracing/tracer.h"

#include <cmath>
#include <optional>

namespace diffusiond {

TraceContext Tracer::Begin(absl::string_view traceparent, absl::string_view tracestate) const {
  if (const std::optional<Traceparent> parent = ParseTraceparent(traceparent)) {
    TraceContext context{.trace_id = parent->trace_id, .parent_id = parent->parent_id};
    if (options_.sink && parent->sampled) context.span_id = NewSpanId();
    if (context.is_recorded() && IsTracestate(tracestate)) {
      context.trace_state = std::string(tracestate);
    }
    return context;
  }
  if (!options_.sink || std::ldexp(static_cast<double>(random_() >> 11), -53) >= options_.ratio) {
    return {};
  }
  const uint64_t high = random_();
  return {.trace_id = TraceIdOf(high, random_()), .parent_id = {}, .span_id = NewSpanId()};
}

}  // namespace diffusiond
