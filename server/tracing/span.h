// One piece of work in a trace.
#ifndef DIFFUSIOND_SERVER_TRACING_SPAN_H_
#define DIFFUSIOND_SERVER_TRACING_SPAN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace diffusiond {

struct Span {
  enum class Kind { kInternal = 1, kServer = 2 };  // As OTLP numbers them.
  struct Attribute {
    std::string key;
    std::variant<std::string, int64_t, double> value;
  };

  std::string trace_id;  // As TraceContext has the ids.
  std::string span_id;
  std::string parent_id;  // Empty: the root.
  std::string trace_state = {};
  std::string name;
  Kind kind = Kind::kInternal;
  absl::Time start;
  absl::Time end;
  std::vector<Attribute> attributes = {};
  std::string error = {};  // Empty: it went well.
};

// Takes the spans of a call; must not block. Thread-safe where it is handed on.
using SpanSink = std::function<void(std::vector<Span> spans)>;

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_TRACING_SPAN_H_
