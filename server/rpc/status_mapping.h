// The one place where the project's errors become gRPC's.
#ifndef DIFFUSIOND_SERVER_RPC_STATUS_MAPPING_H_
#define DIFFUSIOND_SERVER_RPC_STATUS_MAPPING_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

namespace diffusiond {

// What RetryInfo tells a client that was refused because the queue is full: about the time in which
// a few images of a small model finish.
inline constexpr absl::Duration kRetryDelay = absl::Seconds(1);

// Same code and message. Payloads of `status` under "type.googleapis.com/" become details of a
// google.rpc.Status; RESOURCE_EXHAUSTED gets a google.rpc.RetryInfo.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_STATUS_MAPPING_H_
