// What is counted of the port of HTTP.
#include <algorithm>
#include <iterator>
#include <map>
#include <string>

#include "server/metrics/server_metrics.h"

namespace diffusiond {
namespace {

// With which model/http and server/http refuse requests before a handler has them.
constexpr int kRefusals[] = {400, 403, 404, 405, 408, 413, 417, 431, 501, 503, 505};

// The flag that was passed, where one was.
const std::map<HttpRefusal, const char*>& Limits() {
  static const auto* const limits = new std::map<HttpRefusal, const char*>{
      {HttpRefusal::kConnections, "max_http_connections"},
      {HttpRefusal::kConnectionsOfAddress, "max_http_connections_per_address"},
      {HttpRefusal::kRate, "max_connections_per_second"},
      {HttpRefusal::kRateOfAddress, "max_connections_per_second_per_address"},
      {HttpRefusal::kDescriptors, "descriptors"},
      {HttpRefusal::kTls, "tls_identity"}};
  return *limits;
}

}  // namespace

void ServerMetrics::AddHttpSeries() {
  for (const auto& [refusal, limit] : Limits()) http_connections_refused_.Add({{"limit", limit}});
  for (const int status : kRefusals) http_refusals_.Add({{"code", std::to_string(status)}});
}

void ServerMetrics::HttpConnectionOpened() { http_connections_.Increment(); }
void ServerMetrics::HttpConnectionEnded() { http_connections_.Decrement(); }
void ServerMetrics::HttpConnectionEvicted() { http_connections_evicted_.Increment(); }

void ServerMetrics::HttpConnectionRefused(HttpRefusal refusal) {
  http_connections_refused_.Add({{"limit", Limits().at(refusal)}}).Increment();
}

void ServerMetrics::HttpRequestRefused(int status) {
  const bool known = std::ranges::find(kRefusals, status) != std::end(kRefusals);
  http_refusals_.Add({{"code", known ? std::to_string(status) : "other"}}).Increment();
}

}  // namespace diffusiond
