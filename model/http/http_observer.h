// Told of what a server of HTTP does, to count it.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_OBSERVER_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_OBSERVER_H_

#include "absl/strings/string_view.h"

namespace diffusiond {

enum class HttpRefusal {
  kConnections,           // max_connections, all with a request in work.
  kConnectionsOfAddress,  // max_connections_per_address, the same.
  kDescriptors,           // The process has none left; it waits in the kernel.
  kTls,                   // No identity to serve with.
  kRate,                  // Too many come in a second: HttpServer::Options::refuse_connection.
  kRateOfAddress,         // The same, of one address.
};

enum class HttpEnd {
  kClient,      // It closed, or the connection broke.
  kAnswered,    // By the server, after an answer.
  kEvicted,     // For another connection.
  kHandshake,   // Failed, or handshake_time.
  kIdle,        // idle_time.
  kSlowReader,  // slow_reader_time.
  kStopped,     // The server's end.
};

// Called on the server's threads, at once for several connections: thread-safe, and quick.
class HttpObserver {
 public:
  virtual ~HttpObserver() = default;

  virtual void OnConnection() {}
  virtual void OnConnectionEnded(HttpEnd) {}
  virtual void OnConnectionRefused(HttpRefusal) {}
  // A request was refused before a handler saw it, by the server or by its route. OnAnswer follows,
  // unless its client goes first.
  virtual void OnRequestRefused(int /*status*/) {}
  // An answer began, the server's own refusals of requests included (408, 413, 431, ...).
  virtual void OnAnswer(absl::string_view /*method*/, int /*status*/) {}
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_OBSERVER_H_
