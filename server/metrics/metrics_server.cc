#include "server/metrics/metrics_server.h"

#include "model/status/status_macros.h"
#include "prometheus/text_serializer.h"

namespace diffusiond {

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& listen, std::shared_ptr<prometheus::Registry> registry,
    TlsIdentitySource tls) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<PageServer> server,
      PageServer::Start({.listen = listen,
                         .path = "/metrics",
                         .content_type = "text/plain; version=0.0.4; charset=utf-8",
                         .page =
                             [registry = std::move(registry)] {
                               return prometheus::TextSerializer().Serialize(registry->Collect());
                             },
                         .tls = std::move(tls)}));
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(server)));
}

}  // namespace diffusiond
