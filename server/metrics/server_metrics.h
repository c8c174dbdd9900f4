// Every instrument of the server, in one place.
#ifndef DIFFUSIOND_SERVER_METRICS_SERVER_METRICS_H_
#define DIFFUSIOND_SERVER_METRICS_SERVER_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "model/http/http_observer.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/engine/engine_metrics.h"
#include "server/engine/work_state.h"

namespace diffusiond {

// Prometheus instruments, named diffusiond_*, in seconds and bytes. Told by the engine through
// EngineMetrics, and by whoever serves requests through the other methods. Thread-safe; no method
// blocks.
//
// Labels come from small fixed sets, or from names that the operator chose (models); never from a
// request.
class ServerMetrics : public EngineMetrics {
 public:
  // `registry` must outlive this. `version` goes into diffusiond_build_info.
  ServerMetrics(prometheus::Registry* registry, const std::string& version);

  // `version` in the repository; 0: not numbered. `device` as in --devices, "cpu" or "cuda:0".
  void ModelLoaded(const std::string& model, int version, const std::string& digest,
                   const std::string& device, int micro_batch);
  void ModelUnloaded(const std::string& model, int version, const std::string& digest,
                     const std::string& device, int micro_batch);
  void ModelLoadTook(const std::string& model, absl::Duration duration);
  // Steps of this key of the engine's are counted under the model's name: series must not grow with
  // every swap. Keys of which nothing was said are names. The end of a step may come after the end
  // of its version, so the last kRememberedKeys that went are remembered.
  void ModelKeyed(const std::string& key, const std::string& model) ABSL_LOCKS_EXCLUDED(keys_mu_);
  void KeyForgotten(const std::string& key) ABSL_LOCKS_EXCLUDED(keys_mu_);
  static constexpr size_t kRememberedKeys = 64;
  // New requests get this version; `swapped`: in place of another.
  void ModelServed(const std::string& model, int version, bool swapped);
  // A version could not be loaded, or a directory cannot be a model.
  void ModelRefused(const std::string& model);
  // It is in the repository, and no version of it is served; until ModelServed, or until it is
  // there no more.
  void ModelUnserved(const std::string& model);
  void ModelForgotten(const std::string& model);
  // Those that serve, are kept, or wait for their last request.
  void VersionsLoaded(const std::string& model, int count);

  // Calls of this method may come: the series of failures that alerts ask for are there from now.
  void MethodServed(const std::string& method);
  // `method` as in the proto, "Generate", or a route, "POST /v1/generate"; `code` as gRPC spells
  // it, "OK", "INVALID_ARGUMENT".
  void RequestStarted(const std::string& method);
  void RequestFinished(const std::string& method, const std::string& code, absl::Duration duration);
  // `wait` since the request arrived.
  void FirstPreview(absl::Duration wait);
  void PreviewSent();
  // Replaced by a newer one before it could be sent, or not encoded for want of time.
  void PreviewsDropped(int count);
  // `format` as in flags, "png".
  void ImageSent(const std::string& format, size_t bytes);

  void OpenConnections(int open, int calls);
  void ConnectionEvicted();
  // `limit`: as ConnectionMetrics has it.
  void ConnectionRefused(const std::string& limit);
  void CallRefused(const std::string& limit);
  // Of the port of HTTP.
  void HttpConnectionOpened();
  void HttpConnectionEnded();
  void HttpConnectionEvicted();
  void HttpConnectionRefused(HttpRefusal refusal);
  // `status` of HTTP; one that no refusal is known to have counts as "other".
  void HttpRequestRefused(int status);
  // A log line that was only counted; `code` as gRPC spells it, or "gRPC" for that library's own.
  void LogLineLeftOut(const std::string& code);

  // A worker of --devices runs, or does not. `device` names it; two of a kind get numbers.
  void WorkerUp(const std::string& worker, bool up);
  void WorkerRestarted(const std::string& worker);

  // What the instruments of it show now.
  WorkState Work() const;

  void OnQueueDepth(const QueueDepth& depth) override;
  void OnRefused(const absl::Status& status) override;
  void OnFirstStep(const FirstStep& first_step) override;
  void OnStep(const Step& step) override;
  void OnDeviceFailure(const std::string& model) override;
  void OnReleased(int64_t delay_steps) override;
  void OnPreemptions(int count) override;
  void OnMigrations(int count) override;
  void OnGenerationFinished(const GenerationEnd& end) override;

 private:
  using Counters = prometheus::Family<prometheus::Counter>;
  using Gauges = prometheus::Family<prometheus::Gauge>;
  using Histograms = prometheus::Family<prometheus::Histogram>;

  // Before their first event.
  void AddConnectionSeries();
  void AddHttpSeries();
  prometheus::Labels OfModel(const std::string& key) ABSL_LOCKS_EXCLUDED(keys_mu_);

  absl::Mutex keys_mu_;
  std::map<std::string, std::string> names_ ABSL_GUARDED_BY(keys_mu_);  // By key.
  // Loaded, of what has the same series: a version whose files were touched is loaded again.
  std::map<prometheus::Labels, int> copies_ ABSL_GUARDED_BY(keys_mu_);
  std::deque<std::string> gone_ ABSL_GUARDED_BY(keys_mu_);  // Keys, the first to go first.

  Gauges& model_info_;
  Gauges& model_version_;
  Gauges& versions_loaded_;
  Counters& swaps_;
  Counters& versions_refused_;
  Gauges& unserved_;
  Histograms& load_duration_;

  Counters& requests_;
  Gauges& requests_in_flight_;
  Histograms& request_duration_;
  Counters& refusals_;
  Counters& cancellations_;

  prometheus::Gauge& waiting_;
  prometheus::Gauge& resident_;
  prometheus::Gauge& resident_limit_;
  Histograms& queue_wait_;
  prometheus::Histogram& admission_delay_;
  prometheus::Histogram& prediction_ratio_;
  prometheus::Counter& deadline_misses_;
  prometheus::Histogram& release_delay_;
  prometheus::Counter& preemptions_;
  prometheus::Counter& migrations_;

  prometheus::Gauge& connections_;
  Counters& connections_refused_;
  prometheus::Counter& connections_evicted_;
  prometheus::Gauge& open_calls_;
  Counters& calls_refused_;
  prometheus::Gauge& http_connections_;
  prometheus::Counter& http_connections_evicted_;
  Counters& http_connections_refused_;
  Counters& http_refusals_;

  Gauges& worker_up_;
  Counters& worker_restarts_;

  Histograms& step_duration_;
  Counters& step_overhead_;
  Histograms& network_call_passes_;
  Counters& network_calls_;
  Counters& passes_;
  Counters& padding_passes_;
  Histograms& occupancy_;
  Counters& device_failures_;

  prometheus::Histogram& first_preview_;
  prometheus::Counter& previews_sent_;
  prometheus::Counter& previews_dropped_;
  Counters& images_;
  Counters& image_bytes_;
  Counters& log_lines_left_out_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_METRICS_SERVER_METRICS_H_
