// The one server of HTTP in the product: HTTP/1.1, in the clear or by TLS, on a few threads.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_SERVER_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/http/http_limits.h"
#include "model/http/http_message.h"
#include "model/http/http_observer.h"
#include "model/http/http_routes.h"
#include "model/http/tls_identity.h"

namespace diffusiond {

// Serves from Start to destruction. No thread waits for a client: each has a socket and what it has
// sent so far. Connections are kept alive; bodies may come in chunks, and after "100 Continue".
//
// A client that closes its sending side counts as gone, but for an answer that is made already.
// Whom a name of this machine belongs to is for handlers to judge, by the header Host: a page of
// somebody else may have led a browser here.
class HttpServer {
 public:
  struct Options {
    // "host:port", "127.0.0.1:8080", "[::1]:8080"; port 0 takes a free one. All addresses of a
    // name.
    std::string listen;
    int threads = 2;  // At least 1.
    HttpLimits limits = {};
    // Empty: in the clear.
    TlsIdentitySource tls = {};
    // How the server refuses by itself: 404, 405 (`text` is what is allowed), 400, 408, 413, ...
    std::function<HttpAnswer(int status, const std::string& text)> refusal = PlainAnswer;
    // nullptr: nobody is told.
    std::shared_ptr<HttpObserver> observer = nullptr;
    // Judges each connection as it comes, before TLS's handshake and the limits, by its HostOf.
    // What it returns the observer is told, and the connection is reset. Called as the observer is;
    // may be empty.
    std::function<std::optional<HttpRefusal>(const std::string& address)> refuse_connection = {};
  };

  // INVALID_ARGUMENT: `listen` is not of that form, or TLS cannot be served with what `tls` says.
  // UNAVAILABLE: it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options, HttpRoutes routes);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // As Drain(0). Returns when no handler and no callback runs any more.
  ~HttpServer();

  int port() const { return port_; }

  // Before a drain: answers from then on say "Connection: close", so that their clients' next
  // connection finds another server.
  void Leave();
  // Closes the connections that have no request now.
  void CloseIdle();
  int CountOpen() const;

  // Takes no more connections and closes those without a request; answers from then on say
  // "Connection: close". Returns when all are over, or after `limit` cuts off what is left. Not for
  // the server's own threads.
  void Drain(absl::Duration limit);

 private:
  class Room;

  HttpServer(std::unique_ptr<Room> room, int port);

  const std::unique_ptr<Room> room_;
  const int port_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_SERVER_H_
