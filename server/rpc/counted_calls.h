// Tells the book of connections of a gRPC server's calls.
#ifndef DIFFUSIOND_SERVER_RPC_COUNTED_CALLS_H_
#define DIFFUSIOND_SERVER_RPC_COUNTED_CALLS_H_

#include <memory>
#include <string>

#include "grpcpp/server_builder.h"
#include "server/connections/connection_book.h"
#include "server/connections/listener.h"

namespace diffusiond {

// Every call of every service counts from when its method gets it, with its request whole if it is
// to have one, until gRPC has let it go. Those of gRPC's own services that pass a limit are refused
// here, with RESOURCE_EXHAUSTED, but for health's Check: it is answered at once, and kubelets end
// whom it fails. Services refuse theirs. `metrics`: not owned, outlives the server; may be null.
void CountCalls(std::shared_ptr<ConnectionBook> book, ConnectionMetrics* metrics,
                grpc::ServerBuilder* builder);

// What refused calls are told; `limit` as ConnectionBook names it.
std::string CallLimitMessage(const char* limit);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_COUNTED_CALLS_H_
