// What connections may take of a gRPC server, whoever is at their other end.
#ifndef DIFFUSIOND_SERVER_RPC_TRANSPORT_LIMITS_H_
#define DIFFUSIOND_SERVER_RPC_TRANSPORT_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"
#include "grpcpp/server_builder.h"
#include "server/connections/connection_book.h"
#include "server/connections/connection_rate.h"

namespace diffusiond {

struct TransportLimits {
  // A connection that would pass one of these is closed as soon as it is made, unless another has
  // no call; a call is refused with RESOURCE_EXHAUSTED.
  ConnectionBook::Limits connections;
  ConnectionRate::Limits connection_rate = {};
  // Calls at once on one connection; the client's further calls wait in the client.
  int calls_per_connection = 100;
  // Memory of all connections together: requests that are not whole yet, answers not taken yet.
  // Under it gRPC reads less at a time, and at last ends calls with RESOURCE_EXHAUSTED.
  size_t bytes = size_t{256} << 20;
  int request_bytes = 4 << 20;  // Larger ones are refused unread, with RESOURCE_EXHAUSTED.
  // Else requests that are compressed are refused unread, with UNIMPLEMENTED: gRPC expands a
  // message whole before it looks at its size.
  bool accept_compressed_requests = false;
  // A connection this old is told to go (GOAWAY); its running calls go on. So clients find new
  // replicas. Infinite: never.
  absl::Duration connection_age = absl::Minutes(30);
  // So is one that has had no call for this long. Infinite: never.
  absl::Duration connection_idle = absl::Minutes(10);
};

// All but what the listener looks after.
void SetTransportLimits(const TransportLimits& limits, grpc::ServerBuilder* builder);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_TRANSPORT_LIMITS_H_
