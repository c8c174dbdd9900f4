#include "server/rpc/server_port.h"

#include <utility>

#include "grpcpp/security/server_credentials.h"
#include "model/status/status_macros.h"
#include "server/rpc/counted_calls.h"
#include "server/rpc/tls_server_credentials.h"

namespace diffusiond {

absl::StatusOr<std::unique_ptr<ServerPort>> ServerPort::Bind(Listener::Options options,
                                                             const AccessGate& gate,
                                                             grpc::ServerBuilder* builder) {
  ConnectionMetrics* const metrics = options.metrics;
  ASSIGN_OR_RETURN(std::unique_ptr<Listener> listener, Listener::Bind(std::move(options)));
  CountCalls(listener->book(), metrics, builder);
  using Builder = grpc::ServerBuilder::experimental_type;
  std::unique_ptr<Acceptor> acceptor = builder->experimental().AddExternalConnectionAcceptor(
      Builder::ExternalConnectionType::FROM_FD, gate.access().tls() != nullptr
                                                    ? MakeTlsServerCredentials(&gate)
                                                    : grpc::InsecureServerCredentials());
  return std::unique_ptr<ServerPort>(new ServerPort(std::move(listener), std::move(acceptor)));
}

ServerPort::ServerPort(std::unique_ptr<Listener> listener, std::unique_ptr<Acceptor> acceptor)
    : acceptor_(std::move(acceptor)), listener_(std::move(listener)) {}

void ServerPort::Start() {
  listener_->Start([acceptor = acceptor_.get()](int descriptor) {
    Acceptor::NewConnectionParameters connection;
    connection.fd = descriptor;
    acceptor->HandleNewConnection(&connection);
  });
}

}  // namespace diffusiond
