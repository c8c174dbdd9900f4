// Serves /metrics to Prometheus.
#ifndef DIFFUSIOND_SERVER_METRICS_METRICS_SERVER_H_
#define DIFFUSIOND_SERVER_METRICS_METRICS_SERVER_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "model/http/page_server.h"
#include "model/http/tls_identity.h"
#include "prometheus/registry.h"

namespace diffusiond {

// A PageServer of a registry, for as long as it lives.
class MetricsServer {
 public:
  // `listen` is "host:port", "127.0.0.1:9464" or "[::]:9464"; port 0 takes a free one.
  // `tls` empty: in the clear. INVALID_ARGUMENT: not of that form. UNAVAILABLE: the address cannot
  // be bound.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::string& listen, std::shared_ptr<prometheus::Registry> registry,
      TlsIdentitySource tls = {});

  int port() const { return server_->port(); }

 private:
  explicit MetricsServer(std::unique_ptr<PageServer> server) : server_(std::move(server)) {}

  const std::unique_ptr<PageServer> server_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_METRICS_METRICS_SERVER_H_
