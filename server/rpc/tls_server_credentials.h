// TLS of a gRPC server, with certificates that change while it runs.
#ifndef DIFFUSIOND_SERVER_RPC_TLS_SERVER_CREDENTIALS_H_
#define DIFFUSIOND_SERVER_RPC_TLS_SERVER_CREDENTIALS_H_

#include <memory>

#include "grpcpp/security/server_credentials.h"
#include "server/rpc/access_gate.h"

namespace diffusiond {

// TLS 1.2 or later. Each handshake takes what AccessControl::tls() has by then; each call on the
// connections passes the gate. For a port whose connections are accepted by one thread: in gRPC
// 1.51 a handshake that begins while another replaces the certificate would use freed memory.
// The gate's AccessControl has TLS; the gate outlives the server.
std::shared_ptr<grpc::ServerCredentials> MakeTlsServerCredentials(const AccessGate* gate);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_TLS_SERVER_CREDENTIALS_H_
