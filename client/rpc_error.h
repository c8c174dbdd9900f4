// From a gRPC status with google.rpc details to one absl::Status that a person can read.
#ifndef DIFFUSIOND_CLIENT_RPC_ERROR_H_
#define DIFFUSIOND_CLIENT_RPC_ERROR_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/support/status.h"

namespace diffusiond {

// `timeout` is the call's: where it ran out, the message says so. Same code. The message is the
// server's (or, where that only repeats the details, how many fields are wrong), followed by one
// line "  FIELD: DESCRIPTION" for each field violation of a google.rpc.BadRequest and one for a
// google.rpc.RetryInfo; both details stay in the status too (BadRequestOf, RetryDelayOf). Where no
// connection could be made, the message names `target` and the reason, and IsUnreachable holds.
absl::Status StatusFromRpc(const grpc::Status& status, const std::string& target,
                           absl::Duration timeout = absl::InfiniteDuration());

// The same status, its message with `name(FIELD)` for each FIELD that is wrong.
absl::Status WithFieldNames(const absl::Status& status,
                            const std::function<std::string(const std::string&)>& name);

// The same status behind "PREFIX: ".
absl::Status WithPrefix(const std::string& prefix, const absl::Status& status);

// The field violations behind an INVALID_ARGUMENT; empty when the server sent none.
google::rpc::BadRequest BadRequestOf(const absl::Status& status);

// When the server suggests to try again.
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

// The call never reached a server: nobody listens there, the name is unknown, or the like.
bool IsUnreachable(const absl::Status& status);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_RPC_ERROR_H_
