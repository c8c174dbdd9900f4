// One call from arrival to the end: counted, logged, traced, and waited for when the server drains.
#ifndef DIFFUSIOND_SERVER_RPC_CALL_SCOPE_H_
#define DIFFUSIOND_SERVER_RPC_CALL_SCOPE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/logging/log_record.h"
#include "server/rpc/generation_run.h"
#include "server/rpc/service_context.h"
#include "server/tracing/trace_context.h"

namespace diffusiond {

// Where a call comes from.
struct CallOrigin {
  std::string peer;              // As gRPC names it, "ipv4:127.0.0.1:50000".
  std::string traceparent = {};  // Of the metadata; empty: none.
  std::string tracestate = {};   // The same; of several, all with commas between.
};

// Thread-compatible.
class CallScope {
 public:
  CallScope(std::shared_ptr<const ServiceContext> context, std::string method,
            const CallOrigin& origin);
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  ~CallScope();  // End must have been called.

  // OK, or why the call is to be refused: UNAVAILABLE, the server drains; RESOURCE_EXHAUSTED, too
  // many calls are open.
  absl::Status Admission() const;

  const std::string& request_id() const { return request_id_; }
  absl::Duration age() const;

  // What the call's line says besides, in the order of these.
  template <typename Value>
  void Note(absl::string_view key, const Value& value) {
    record_.Add(key, value);
  }

  // What was sent of it.
  void CountImage(const std::string& format, size_t bytes);
  void CountPreview();

  // What was asked for is being done: the line is written, whatever the call's end.
  void Accepted() { accepted_ = true; }

  // Over HTTP: its answer begins with this status.
  void Answered(int http_status) { http_status_ = http_status; }

  // It comes again and again: if it ends well it is counted, and has neither line nor spans.
  void Polled() { polled_ = true; }

  // The call is over, its status sent or its client gone. Once. `timeline`: of what was done for
  // it.
  void End(const absl::Status& status,
           const std::optional<GenerationTimeline>& timeline = std::nullopt);

 private:
  LogRecord Line(const absl::Status& status, absl::Duration duration,
                 const std::optional<GenerationTimeline>& timeline) const;
  void Write(const absl::Status& status, const LogRecord& line) const;

  const std::shared_ptr<const ServiceContext> context_;
  const std::string method_;
  const absl::Time start_;
  const std::string request_id_;
  const TraceContext trace_;
  const bool admitted_;
  const char* const limit_passed_;  // Null: none.
  std::optional<int> http_status_;
  bool accepted_ = false;
  bool polled_ = false;
  bool ended_ = false;
  int images_ = 0;
  size_t bytes_ = 0;
  int previews_ = 0;
  LogRecord record_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_CALL_SCOPE_H_
