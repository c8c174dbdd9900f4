// The one place where the project's errors become gRPC's.
#ifndef DIFFUSIOND_SERVER_RPC_STATUS_MAPPING_H_
#define DIFFUSIOND_SERVER_RPC_STATUS_MAPPING_H_

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"

namespace diffusiond {

// Same code and message. Payloads of `status` under "type.googleapis.com/" become details of a
// google.rpc.Status; a Refusal gets a google.rpc.RetryInfo.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The same for the end of a call. A Refusal also sets the trailer that clients with a retry policy
// obey (gRFC A6).
grpc::Status EndOfCall(const absl::Status& status, grpc::ServerContextBase* rpc);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_STATUS_MAPPING_H_
