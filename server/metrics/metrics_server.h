// Serves /metrics to Prometheus.
#ifndef DIFFUSIOND_SERVER_METRICS_METRICS_SERVER_H_
#define DIFFUSIOND_SERVER_METRICS_METRICS_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/exposer.h"
#include "prometheus/registry.h"

namespace diffusiond {

// An HTTP server with threads of its own, for as long as it lives.
class MetricsServer {
 public:
  // `listen` is "host:port", "127.0.0.1:9464" or "[::]:9464"; port 0 takes a free one.
  // INVALID_ARGUMENT: not of that form. UNAVAILABLE: the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::string& listen, std::shared_ptr<prometheus::Registry> registry);

  int port() const;

 private:
  MetricsServer(const std::string& listen, std::shared_ptr<prometheus::Registry> registry);

  // The exposer holds it weakly.
  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Exposer exposer_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_METRICS_METRICS_SERVER_H_
