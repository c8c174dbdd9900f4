// One page over HTTP, made anew for each request: what a process tells Prometheus.
#ifndef DIFFUSIOND_MODEL_HTTP_PAGE_SERVER_H_
#define DIFFUSIOND_MODEL_HTTP_PAGE_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/http/http_server.h"
#include "model/http/tls_identity.h"

namespace diffusiond {

// An HttpServer of one page, on one thread of its own that waits for no client: however many
// connect and say nothing, a request is answered. GET and HEAD get the page, other methods 405,
// other paths 404.
class PageServer {
 public:
  struct Options {
    // "host:port", "127.0.0.1:9464", "[::1]:9464"; port 0 takes a free one.
    std::string listen;
    std::string path;
    std::string content_type;
    std::function<std::string()> page;  // Called on the server's thread.
    // One more closes the one that has asked for nothing the longest. Each may hold a page that its
    // reader does not take. At least 1.
    int max_connections = 64;
    // A connection without a request for so long is closed; Prometheus asks every 15 seconds or so.
    // Zero: never.
    absl::Duration idle_timeout = absl::Minutes(2);
    TlsIdentitySource tls = {};  // Empty: in the clear.
  };

  // INVALID_ARGUMENT: `listen` is not of that form. UNAVAILABLE: it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<PageServer>> Start(Options options);

  int port() const { return server_->port(); }

 private:
  explicit PageServer(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}

  const std::unique_ptr<HttpServer> server_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_PAGE_SERVER_H_
