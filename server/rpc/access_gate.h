// Stands before the services of a port: who may not call a method does not reach it.
#ifndef DIFFUSIOND_SERVER_RPC_ACCESS_GATE_H_
#define DIFFUSIOND_SERVER_RPC_ACCESS_GATE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"
#include "server/access/access_control.h"
#include "server/logging/access_log.h"
#include "server/logging/log_record.h"
#include "server/rpc/call_log.h"

namespace diffusiond {

// Thread-safe. Nothing here is owned.
class AccessGate {
 public:
  // `calls` may be null.
  AccessGate(const AccessControl* access, CallLog* log, AccessLog* calls)
      : access_(access), log_(log), calls_(calls) {}

  // Who calls; null: nobody that is known. UNAUTHENTICATED or PERMISSION_DENIED, in words that say
  // the same to all: what was wrong is the log's to tell. A call that ends here has its line in the
  // access log from here. `path` as RuleOf has it.
  absl::StatusOr<std::shared_ptr<const AccessIdentity>> Admit(absl::string_view path,
                                                              const Credential& credential) const;

  // The same of a call that has a line of its own whatever comes of it. One of gRPC passed the gate
  // before: between its headers and its message a client may let pass what time it likes, in which
  // the list changes.
  absl::StatusOr<std::shared_ptr<const AccessIdentity>> AdmitRequest(
      absl::string_view path, const Credential& credential) const;
  absl::StatusOr<std::shared_ptr<const AccessIdentity>> AdmitRequest(
      absl::string_view path, const grpc::ServerContextBase& rpc) const;

  const AccessControl& access() const { return *access_; }

 private:
  const AccessControl* const access_;
  // Whether it may, and what the log says if not.
  absl::StatusOr<std::shared_ptr<const AccessIdentity>> Judge(absl::string_view path,
                                                              const Credential& credential,
                                                              LogRecord* refusal) const;

  CallLog* const log_;
  AccessLog* const calls_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_ACCESS_GATE_H_
