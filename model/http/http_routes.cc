#include "model/http/http_routes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace diffusiond {
namespace {

bool HasStar(const HttpRoute& route) { return absl::EndsWith(route.path, "/*"); }

bool Matches(const HttpRoute& route, const std::string& path) {
  if (!HasStar(route)) return route.path == path;
  const absl::string_view stem = absl::StripSuffix(route.path, "*");
  return path.size() > stem.size() && absl::StartsWith(path, stem);
}

}  // namespace

void HttpRoutes::Add(HttpRoute route) { routes_.push_back(std::move(route)); }

HttpRoutes::Found HttpRoutes::Find(const std::string& method, const std::string& path) const {
  const HttpRoute* nearest = nullptr;
  for (const HttpRoute& route : routes_) {
    if (!Matches(route, path)) continue;
    const auto rank = [](const HttpRoute& of) { return std::pair(!HasStar(of), of.path.size()); };
    if (nearest == nullptr || rank(route) > rank(*nearest)) nearest = &route;
  }
  if (nearest == nullptr) return {};
  Found found = {.path_is_known = true};
  std::vector<std::string> methods;
  const HttpRoute* get = nullptr;
  for (const HttpRoute& route : routes_) {
    if (route.path != nearest->path) continue;
    methods.push_back(route.method);
    if (route.method == method) found.route = &route;
    if (route.method == "GET") get = &route;
  }
  if (get != nullptr && std::find(methods.begin(), methods.end(), "HEAD") == methods.end()) {
    methods.push_back("HEAD");
    if (method == "HEAD") found.route = get;
  }
  std::sort(methods.begin(), methods.end());
  found.allow = absl::StrJoin(methods, ", ");
  return found;
}

}  // namespace diffusiond
