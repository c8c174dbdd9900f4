// Sends spans to a collector, as far as it takes them.
#ifndef DIFFUSIOND_SERVER_TRACING_SPAN_EXPORTER_H_
#define DIFFUSIOND_SERVER_TRACING_SPAN_EXPORTER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/logging/log_record.h"
#include "server/tracing/otlp_json.h"
#include "server/tracing/span.h"

namespace diffusiond {

// OTLP over HTTP, in JSON, by a thread of its own: no call waits for a collector. Spans that find
// too many waiting are dropped, and so is what a collector does not take when it is asked
// kAttempts times; both are counted. Thread-safe.
class SpanExporter {
 public:
  static constexpr int kAttempts = 3;
  static constexpr size_t kBatch = 512;  // Spans of one request.

  // Sends a body to the collector. UNAVAILABLE: another try may help. Called by one thread at a
  // time; ends soon after `give_up` says so.
  using Post =
      std::function<absl::Status(const std::string& body, const std::function<bool()>& give_up)>;

  struct Options {
    Post post;
    TraceResource resource;
    size_t max_queued = 4096;                       // Spans that wait, at least 1.
    absl::Duration collect = absl::Seconds(1);      // Spans of so long are sent together.
    absl::Duration retry_after = absl::Seconds(1);  // The first time; then twice that.
    absl::Duration last_words = absl::Seconds(2);   // For what waits when the exporter goes.
    // What became of so many spans: "sent"; "queue": too many waited; "collector": it did not take
    // them. From any thread, must not block. May be unset.
    std::function<void(const std::string& outcome, size_t spans)> on_spans = nullptr;
    // That a collector takes nothing, once until it does again. May be unset.
    LogSink log = nullptr;
  };

  explicit SpanExporter(Options options);
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;
  ~SpanExporter();

  // Does not wait.
  void Export(std::vector<Span> spans);

 private:
  void SendUntilStopped() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for a batch; empty: there is none, and the end has come.
  std::vector<Span> NextBatch() ABSL_LOCKS_EXCLUDED(mu_);
  void Send(const std::vector<Span>& spans) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsTooLate() ABSL_LOCKS_EXCLUDED(mu_);
  // False: there is no time for another.
  bool AwaitNextAttempt(int attempt) ABSL_LOCKS_EXCLUDED(mu_);
  void Count(const char* outcome, size_t spans) const;
  void Tell(const absl::Status& status);

  const Options options_;
  bool failing_ = false;  // Of the sending thread alone.

  absl::Mutex mu_;
  std::vector<Span> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time last_word_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_TRACING_SPAN_EXPORTER_H_
