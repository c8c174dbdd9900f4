#include "model/http/page_server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/http/http_routes.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::StatusOr<std::unique_ptr<PageServer>> PageServer::Start(Options options) {
  HttpServer::Options wanted = {.listen = std::move(options.listen), .threads = 1};
  wanted.limits.max_connections = options.max_connections;
  wanted.limits.max_connections_per_address = options.max_connections;
  const bool never = options.idle_timeout <= absl::ZeroDuration();
  wanted.limits.idle_time = never ? absl::InfiniteDuration() : options.idle_timeout;
  wanted.tls = std::move(options.tls);
  wanted.refusal = [path = options.path](int status, const std::string& text) {
    return PlainAnswer(status, status == 404 ? absl::StrCat("the page is ", path) : text);
  };
  HttpRoutes routes;
  routes.Add({.method = "GET",
              .path = std::move(options.path),
              .handle = [page = std::move(options.page), type = std::move(options.content_type)](
                            const HttpRequest&, const std::shared_ptr<HttpResponder>& responder) {
                responder->Answer({.head = {.content_type = type}, .body = page()});
              }});
  ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> server,
                   HttpServer::Start(std::move(wanted), std::move(routes)));
  return std::unique_ptr<PageServer>(new PageServer(std::move(server)));
}

}  // namespace diffusiond
