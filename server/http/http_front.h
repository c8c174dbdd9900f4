// The API over HTTP: its own JSON and events, and OpenAI's images API.
#ifndef DIFFUSIOND_SERVER_HTTP_HTTP_FRONT_H_
#define DIFFUSIOND_SERVER_HTTP_HTTP_FRONT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/http/http_server.h"
#include "server/connections/connection_rate.h"
#include "server/engine/work_state.h"
#include "server/rpc/service_context.h"

namespace diffusiond {

// Calls take the path that gRPC's take: the same access, limits, tenants, receipts, metrics and
// log. A page of another site that has led a browser here is refused: by Origin, and on loopback by
// Host. Serves from Start to destruction. Thread-safe.
class HttpFront {
 public:
  struct Options {
    std::string listen;  // host:port; port 0 takes a free one.
    HttpLimits limits = {};
    ConnectionRate::Limits connection_rate = {};  // What comes above it is reset, before TLS.
    int max_request_bytes = 4 << 20;
    TlsIdentitySource tls = {};             // Empty: in the clear.
    std::function<bool()> ready = nullptr;  // What /readyz says.
    // What /v1/state says, from any thread; null: there is none.
    std::function<WorkState()> work = nullptr;
    std::shared_ptr<HttpObserver> observer = nullptr;  // nullptr: nobody is told.
  };

  // `context` as the gRPC server's. INVALID_ARGUMENT, UNAVAILABLE: as HttpServer.
  static absl::StatusOr<std::unique_ptr<HttpFront>> Start(
      Options options, std::shared_ptr<const ServiceContext> context);

  int port() const { return server_->port(); }

  // As HttpServer.
  void Leave() { server_->Leave(); }
  void CloseIdle() { server_->CloseIdle(); }
  int CountOpen() const { return server_->CountOpen(); }

  // New calls are refused by the context's tracker; ends what is left after `limit`.
  void Drain(absl::Duration limit) { server_->Drain(limit); }

 private:
  explicit HttpFront(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}

  const std::unique_ptr<HttpServer> server_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_HTTP_FRONT_H_
