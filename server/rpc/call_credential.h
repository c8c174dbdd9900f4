// What a call shows of who makes it.
#ifndef DIFFUSIOND_SERVER_RPC_CALL_CREDENTIAL_H_
#define DIFFUSIOND_SERVER_RPC_CALL_CREDENTIAL_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "grpcpp/server_context.h"
#include "server/access/access_control.h"

namespace diffusiond {

// For a service.
Credential CredentialOf(const grpc::ServerContextBase& rpc, CertificateName kind);

// For what stands before the services. `connection` may be null.
Credential CredentialOf(absl::Span<const grpc_metadata> metadata,
                        const grpc_auth_context* connection, CertificateName kind);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_CALL_CREDENTIAL_H_
