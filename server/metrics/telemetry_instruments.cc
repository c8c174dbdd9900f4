#include "server/metrics/telemetry_instruments.h"

namespace diffusiond {

TelemetryInstruments::TelemetryInstruments(prometheus::Registry* registry)
    : lines_lost_(prometheus::BuildCounter()
                      .Name("diffusiond_access_log_lines_lost_total")
                      .Help("Lines that are not in the access log: too many waited (queue), or its "
                            "file took them not (write).")
                      .Register(*registry)),
      spans_(prometheus::BuildCounter()
                 .Name("diffusiond_spans_total")
                 .Help("Spans of traces: sent, or dropped because too many waited (queue) or the "
                       "collector did not take them (collector).")
                 .Register(*registry)) {
  for (const char* why : {"queue", "write"}) lines_lost_.Add({{"why", why}});
  for (const char* outcome : {"sent", "queue", "collector"}) spans_.Add({{"outcome", outcome}});
}

void TelemetryInstruments::LinesLost(const std::string& why, int lines) {
  lines_lost_.Add({{"why", why}}).Increment(lines);
}

void TelemetryInstruments::Spans(const std::string& outcome, size_t spans) {
  spans_.Add({{"outcome", outcome}}).Increment(static_cast<double>(spans));
}

}  // namespace diffusiond
