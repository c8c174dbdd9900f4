// Which handler answers which request.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_ROUTES_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_ROUTES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/http/http_message.h"
#include "model/http/http_responder.h"

namespace diffusiond {

struct HttpRoute {
  std::string method;  // That of GET is HEAD's, too, unless HEAD has one.
  // "/v1/models", or "/v1/models/*": all that begins so and goes on.
  std::string path;
  // A larger body is refused: 413, unread if its length is told.
  uint64_t max_body_bytes = 0;
  // Judges by all but the body, before that is read, on a thread of the server; may be empty.
  // nullopt: it is to be handled.
  std::function<std::optional<HttpAnswer>(const HttpRequest& head)> refuse = {};
  // Called on a thread of the server, for several requests at once, when all of the request is
  // there. What it throws is a 500. It must not wait: the server has few threads.
  HttpHandler handle;
};

// Fixed before the server starts; immutable then.
class HttpRoutes {
 public:
  void Add(HttpRoute route);

  struct Found {
    const HttpRoute* route = nullptr;
    bool path_is_known = false;
    std::string allow = {};  // "GET, HEAD": what the path takes.
  };
  // A path of its own before one with a star; of those, the longest.
  Found Find(const std::string& method, const std::string& path) const;

 private:
  std::vector<HttpRoute> routes_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_ROUTES_H_
