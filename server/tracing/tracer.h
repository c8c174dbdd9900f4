// Decides which calls are traced, and how finely.
#ifndef DIFFUSIOND_SERVER_TRACING_TRACER_H_
#define DIFFUSIOND_SERVER_TRACING_TRACER_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/tracing/span.h"
#include "server/tracing/trace_context.h"

namespace diffusiond {

// Thread-safe.
class Tracer {
 public:
  struct Options {
    SpanSink sink = nullptr;  // Unset: nothing is recorded.
    double ratio = 1;         // Of calls that bring no trace of their own, 0 .. 1.
    int every_steps = 10;     // A span for each n-th step of an image; 0: none.
  };

  // `random` gives 64 random bits.
  Tracer(Options options, std::function<uint64_t()> random)
      : options_(std::move(options)), random_(std::move(random)) {}

  // Where a call with these headers (empty: without) belongs. Recorded: if its caller records it,
  // or if it brings no trace and is one of --trace_ratio. A tracestate goes with a traceparent.
  TraceContext Begin(absl::string_view traceparent, absl::string_view tracestate = {}) const;

  int every_steps() const { return options_.sink ? options_.every_steps : 0; }
  std::string NewSpanId() const { return SpanIdOf(random_()); }
  void Export(std::vector<Span> spans) const { options_.sink(std::move(spans)); }

 private:
  const Options options_;
  const std::function<uint64_t()> random_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_TRACING_TRACER_H_
