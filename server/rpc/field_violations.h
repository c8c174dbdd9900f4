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

// Of one request that are told one by one; more are counted. No request of the API's own has as
// many fields.
inline constexpr int kMaxFieldViolations = 64;

// OK if it names none; else INVALID_ARGUMENT with the list in words and as payload.
absl::Status BadRequestStatus(const google::rpc::BadRequest& details);

// Thread-compatible.
class FieldViolations {
 public:
  // `field` is the path in the request message, for example "preview.every_steps"; `description`
  // gives the value and what is allowed. What is not UTF-8 in them is escaped.
  void Add(absl::string_view field, absl::string_view description);

  bool empty() const { return details_.field_violations().empty(); }

  // BadRequestStatus of them; how many were left out stands in place of one more.
  absl::Status ToStatus() const;

 private:
  google::rpc::BadRequest details_;
  int left_out_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_FIELD_VIOLATIONS_H_
