// What is counted of the gRPC port's connections and calls.
#include <string>

#include "server/metrics/server_metrics.h"

namespace diffusiond {

void ServerMetrics::AddConnectionSeries() {
  for (const char* limit :
       {"max_connections", "max_connections_per_address", "max_connections_per_second",
        "max_connections_per_second_per_address", "descriptors"}) {
    connections_refused_.Add({{"limit", limit}});
  }
  for (const char* limit : {"max_calls", "max_calls_per_address"}) {
    calls_refused_.Add({{"limit", limit}});
  }
}

void ServerMetrics::OpenConnections(int open, int calls) {
  connections_.Set(open);
  open_calls_.Set(calls);
}

void ServerMetrics::ConnectionEvicted() { connections_evicted_.Increment(); }

void ServerMetrics::ConnectionRefused(const std::string& limit) {
  connections_refused_.Add({{"limit", limit}}).Increment();
}

void ServerMetrics::CallRefused(const std::string& limit) {
  calls_refused_.Add({{"limit", limit}}).Increment();
}

}  // namespace diffusiond
