#include "server/metrics/counted_http.h"

namespace diffusiond {
namespace {

const char* Name(HttpRefusal refusal) {
  switch (refusal) {
    case HttpRefusal::kConnections:
      return "max_http_connections";
    case HttpRefusal::kConnectionsOfAddress:
      return "max_http_connections_per_address";
    case HttpRefusal::kDescriptors:
      return "descriptors";
    case HttpRefusal::kTls:
      return "tls_identity";
    case HttpRefusal::kRate:
      return "max_connections_per_second";
    case HttpRefusal::kRateOfAddress:
      return "max_connections_per_second_per_address";
  }
  return "max_http_connections";
}

}  // namespace

void CountedHttp::OnConnectionEnded(HttpEnd end) {
  metrics_->HttpConnectionEnded();
  if (end == HttpEnd::kEvicted) metrics_->HttpConnectionEvicted();
}

void CountedHttp::OnConnectionRefused(HttpRefusal refusal) {
  metrics_->HttpConnectionRefused(Name(refusal));
}

}  // namespace diffusiond
