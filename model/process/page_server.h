// One page over HTTP, made anew for each request: what a process tells Prometheus.
#ifndef DIFFUSIOND_MODEL_PROCESS_PAGE_SERVER_H_
#define DIFFUSIOND_MODEL_PROCESS_PAGE_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace diffusiond {

// Serves from Start to destruction, by GNU libmicrohttpd, on one thread of its own that waits for
// no client: however many connect and say nothing, a request is answered. GET and HEAD get the
// page, other methods 405, other paths 404.
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
    // A connection on which nothing moves for so long is closed; Prometheus asks every 15 seconds
    // or so. Whole seconds; zero: never.
    absl::Duration idle_timeout = absl::Minutes(2);
  };

  // INVALID_ARGUMENT: `listen` is not of that form. UNAVAILABLE: it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<PageServer>> Start(Options options);
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;
  ~PageServer();

  int port() const { return port_; }

 private:
  struct Daemon;

  PageServer(std::unique_ptr<Daemon> daemon, int port);

  const std::unique_ptr<Daemon> daemon_;
  const int port_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_PAGE_SERVER_H_
