// One call from arrival to the end: counted, logged, and waited for when the server drains.
#ifndef DIFFUSIOND_SERVER_RPC_CALL_SCOPE_H_
#define DIFFUSIOND_SERVER_RPC_CALL_SCOPE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/rpc/service_context.h"

namespace diffusiond {

// Thread-compatible.
class CallScope {
 public:
  CallScope(std::shared_ptr<const ServiceContext> context, std::string method, std::string peer);
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  ~CallScope();  // End must have been called.

  // OK, or UNAVAILABLE: the server drains and the call is to be refused.
  absl::Status Admission() const;

  const std::string& request_id() const { return request_id_; }
  absl::Duration age() const;

  // Adds key=value to the log line; a value with spaces is quoted.
  void Note(absl::string_view key, absl::string_view value);

  // What was asked for is being done: the line is written, whatever the call's end.
  void Accepted() { accepted_ = true; }

  // The call is over, its status sent or its client gone. Once.
  void End(const absl::Status& status);

 private:
  const std::shared_ptr<const ServiceContext> context_;
  const std::string method_;
  const absl::Time start_;
  const std::string request_id_;
  const bool admitted_;
  bool accepted_ = false;
  bool ended_ = false;
  std::string line_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_CALL_SCOPE_H_
