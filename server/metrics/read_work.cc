// What the instruments of the server's work show.
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "server/metrics/server_metrics.h"

namespace diffusiond {
namespace {

// All that a family has, as a scrape sees it.
std::vector<prometheus::ClientMetric> SeriesOf(const prometheus::Collectable& family) {
  std::vector<prometheus::ClientMetric> series;
  for (prometheus::MetricFamily& part : family.Collect()) {
    std::move(part.metric.begin(), part.metric.end(), std::back_inserter(series));
  }
  return series;
}

std::string ModelOf(const prometheus::ClientMetric& series) {
  for (const auto& label : series.label) {
    if (label.name == "model") return label.value;
  }
  return "";
}

}  // namespace

WorkState ServerMetrics::Work() const {
  WorkState work = {.waiting = static_cast<int>(waiting_.Value()),
                    .resident = static_cast<int>(resident_.Value()),
                    .resident_limit = static_cast<int>(resident_limit_.Value())};
  for (const prometheus::ClientMetric& worker : SeriesOf(worker_up_)) {
    ++work.workers;
    work.workers_up += worker.gauge.value > 0 ? 1 : 0;
  }
  for (const prometheus::ClientMetric& steps : SeriesOf(step_duration_)) {
    work.models[ModelOf(steps)].step_batches = static_cast<int64_t>(steps.histogram.sample_count);
  }
  for (const prometheus::ClientMetric& passes : SeriesOf(passes_)) {
    work.models[ModelOf(passes)].network_passes = static_cast<int64_t>(passes.counter.value);
  }
  return work;
}

}  // namespace diffusiond
