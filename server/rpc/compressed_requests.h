#ifndef DIFFUSIOND_SERVER_RPC_COMPRESSED_REQUESTS_H_
#define DIFFUSIOND_SERVER_RPC_COMPRESSED_REQUESTS_H_

#include "grpcpp/server_builder.h"

namespace diffusiond {

// Requests compressed with gzip or deflate are refused with UNIMPLEMENTED, which names the
// algorithm, and not inflated: gRPC inflates them whole, to a thousand times their size, before it
// looks at the largest message.
void RefuseCompressedRequests(grpc::ServerBuilder* builder);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_COMPRESSED_REQUESTS_H_
