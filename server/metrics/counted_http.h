// What the port of HTTP counts, into the server's instruments.
#ifndef DIFFUSIOND_SERVER_METRICS_COUNTED_HTTP_H_
#define DIFFUSIOND_SERVER_METRICS_COUNTED_HTTP_H_

#include "model/http/http_observer.h"
#include "server/metrics/server_metrics.h"

namespace diffusiond {

// Connections, and what is refused before a handler has it; handlers' calls count themselves.
// Thread-safe.
class CountedHttp final : public HttpObserver {
 public:
  // Not owned.
  explicit CountedHttp(ServerMetrics* metrics) : metrics_(metrics) {}

  void OnConnection() override { metrics_->HttpConnectionOpened(); }
  void OnConnectionEnded(HttpEnd end) override {
    metrics_->HttpConnectionEnded();
    if (end == HttpEnd::kEvicted) metrics_->HttpConnectionEvicted();
  }
  void OnConnectionRefused(HttpRefusal refusal) override {
    metrics_->HttpConnectionRefused(refusal);
  }
  void OnRequestRefused(int status) override { metrics_->HttpRequestRefused(status); }

 private:
  ServerMetrics* const metrics_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_METRICS_COUNTED_HTTP_H_
