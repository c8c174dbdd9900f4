// Everything that is wrong with one request.
#ifndef DIFFUSIOND_SERVER_RPC_FIELD_VIOLATIONS_H_
#define DIFFUSIOND_SERVER_RPC_FIELD_VIOLATIONS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "model/process/quoted_value.h"  // For what is said of values.

namespace diffusiond {

// Key of the absl::Status payload that holds a serialised google.rpc.BadRequest.
inline constexpr absl::string_view kBadRequestTypeUrl = "type.googleapis.com/google.rpc.BadRequest";

// Thread-compatible.
class FieldViolations {
 public:
  // `field` is the path in the request message, for example "preview.every_steps"; `description`
  // gives the value and what is allowed.
  void Add(absl::string_view field, absl::string_view description);

  bool empty() const { return details_.field_violations().empty(); }

  // OK if there are none; else INVALID_ARGUMENT with the list in words and as payload.
  absl::Status ToStatus() const;

 private:
  google::rpc::BadRequest details_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_FIELD_VIOLATIONS_H_
