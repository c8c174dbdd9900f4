// The instruments of what is told of calls besides metrics: access log and traces.
#ifndef DIFFUSIOND_SERVER_METRICS_TELEMETRY_INSTRUMENTS_H_
#define DIFFUSIOND_SERVER_METRICS_TELEMETRY_INSTRUMENTS_H_

#include <cstddef>
#include <string>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/registry.h"

namespace diffusiond {

// As ServerMetrics. Thread-safe; no method blocks.
class TelemetryInstruments {
 public:
  // `registry` must outlive this.
  explicit TelemetryInstruments(prometheus::Registry* registry);

  // As AccessLog::Options::on_lost and SpanExporter::Options::on_spans have them.
  void LinesLost(const std::string& why, int lines);
  void Spans(const std::string& outcome, size_t spans);

 private:
  prometheus::Family<prometheus::Counter>& lines_lost_;
  prometheus::Family<prometheus::Counter>& spans_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_METRICS_TELEMETRY_INSTRUMENTS_H_
