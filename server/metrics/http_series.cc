// What is counted of the port of HTTP.
#include <algorithm>
#include <iterator>

#include "server/metrics/server_metrics.h"

namespace diffusiond {
namespace {

// With which model/http and server/http refuse requests before a handler has them.
constexpr int kRefusals[] = {400, 403, 404, 405, 408, 413, 417, 431, 501, 503, 505};

}  // namespace

void ServerMetrics::AddHttpSeries() {
  for (const char* limit :
       {"max_http_connections", "max_http_connections_per_address", "max_connections_per_second",
        "max_connections_per_second_per_address", "descriptors", "tls_identity"}) {
    http_connections_refused_.Add({{"limit", limit}});
  }
  for (const int status : kRefusals) http_refusals_.Add({{"code", std::to_string(status)}});
}

void ServerMetrics::HttpConnectionOpened() { http_connections_.Increment(); }
void ServerMetrics::HttpConnectionEnded() { http_connections_.Decrement(); }
void ServerMetrics::HttpConnectionEvicted() { http_connections_evicted_.Increment(); }

void ServerMetrics::HttpConnectionRefused(const std::string& limit) {
  http_connections_refused_.Add({{"limit", limit}}).Increment();
}

void ServerMetrics::HttpRequestRefused(int status) {
  const bool known = std::ranges::find(kRefusals, status) != std::end(kRefusals);
  http_refusals_.Add({{"code", known ? std::to_string(status) : "other"}}).Increment();
}

}  // namespace diffusiond
