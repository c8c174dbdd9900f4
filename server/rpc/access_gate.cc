#include "server/rpc/access_gate.h"

#include <string>

#include "model/process/quoted_value.h"
#include "server/rpc/call_credential.h"
#include "server/rpc/method_rights.h"

namespace diffusiond {

namespace {

using Identity = std::shared_ptr<const AccessIdentity>;

// Both are a stranger's: a path, and the name of a certificate's owner.
constexpr size_t kMaxPathBytes = 200;
constexpr size_t kMaxReasonBytes = 300;

absl::Status AsTold(const absl::Status& refusal) {
  return absl::IsUnauthenticated(refusal)
             ? absl::UnauthenticatedError("no credential that this server takes")
             : absl::PermissionDeniedError("this credential has not the right to this method");
}

}  // namespace

absl::StatusOr<Identity> AccessGate::Judge(absl::string_view path, const Credential& credential,
                                           LogRecord* refusal) const {
  const MethodRule rule = RuleOf(path);
  if (rule.open) return Identity(nullptr);
  absl::StatusOr<Identity> permitted = access_->Permit(credential, rule.right);
  if (permitted.ok()) return permitted;
  const absl::Status& reason = permitted.status();
  const std::string code = absl::StatusCodeToString(reason.code());
  refusal->Add("method", Shortened(path, kMaxPathBytes))
      .Add("code", code)
      .Add("error", Shortened(reason.message(), kMaxReasonBytes));
  log_->WriteRefusal(code, *refusal);
  access_->metrics().OnAccessRefused(code);
  return AsTold(reason);
}

absl::StatusOr<Identity> AccessGate::Admit(absl::string_view path,
                                           const Credential& credential) const {
  LogRecord refusal(LogLevel::kWarning, "access");
  absl::StatusOr<Identity> permitted = Judge(path, credential, &refusal);
  if (!permitted.ok() && calls_ != nullptr) calls_->Write(refusal);
  return permitted;
}

absl::StatusOr<Identity> AccessGate::AdmitRequest(absl::string_view path,
                                                  const Credential& credential) const {
  LogRecord refusal(LogLevel::kWarning, "access");
  return Judge(path, credential, &refusal);
}

absl::StatusOr<Identity> AccessGate::AdmitRequest(absl::string_view path,
                                                  const grpc::ServerContextBase& rpc) const {
  return AdmitRequest(path, CredentialOf(rpc, access_->certificate_name()));
}

}  // namespace diffusiond
