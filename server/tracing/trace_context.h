// Which trace a call belongs to (W3C Trace Context).
#ifndef DIFFUSIOND_SERVER_TRACING_TRACE_CONTEXT_H_
#define DIFFUSIOND_SERVER_TRACING_TRACE_CONTEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

// Metadata keys, and HTTP headers.
inline constexpr char kTraceparent[] = "traceparent";
inline constexpr char kTracestate[] = "tracestate";

// A longer tracestate is dropped: what the recommendation asks to hand on at least.
inline constexpr size_t kMaxTracestateBytes = 512;

struct TraceContext {
  std::string trace_id = {};   // 32 lower-case hexadecimal digits; empty: of no trace.
  std::string parent_id = {};  // 16: the caller's span; empty: the trace begins here.
  std::string span_id = {};    // 16: the call's own; empty: none is made.
  // What tracing systems before this one say of the trace, as it came; empty: nothing.
  std::string trace_state = {};

  bool is_recorded() const { return !span_id.empty(); }
};

struct Traceparent {
  std::string trace_id;
  std::string parent_id;
  bool sampled = false;  // The caller records it.
};

// "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" (section 3.2 of the recommendation,
// with its rules for versions that are not known yet). Absent: it is none, to be treated as if
// there were none.
std::optional<Traceparent> ParseTraceparent(absl::string_view header);

// Whether it may be handed on: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE" (section 3.3), at most 32
// members, no key twice, at most kMaxTracestateBytes. Values of several headers are one, with
// commas between.
bool IsTracestate(absl::string_view header);

std::string TraceIdOf(uint64_t high, uint64_t low);
std::string SpanIdOf(uint64_t id);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_TRACING_TRACE_CONTEXT_H_
