// Tells connections to go while the server goes on serving.
#ifndef DIFFUSIOND_SERVER_RPC_GOAWAY_H_
#define DIFFUSIOND_SERVER_RPC_GOAWAY_H_

#include "grpcpp/server.h"

namespace diffusiond {

// What RFC 9113, section 6.8, has for a graceful end, on each connection: GOAWAY that names no last
// stream, a round trip in which calls that were on their way arrive and are served, then GOAWAY
// that names the last one; the connection closes when its streams have ended. To a connection that
// was told before nothing is said again.
//
// grpc::Server::Shutdown sends the same, but cancels what arrives after it was called: a client
// that called a moment before it heard of the end would lose that call.
//
// gRPC 1.51 does so for itself and has no public name for it; where the library has none at all
// this does nothing, and returns false.
bool TellConnectionsToGo(grpc::Server& server);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GOAWAY_H_
