// The port of a gRPC server, accepted on by our own listener.
#ifndef DIFFUSIOND_SERVER_RPC_SERVER_PORT_H_
#define DIFFUSIOND_SERVER_RPC_SERVER_PORT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/server_builder.h"
#include "server/connections/listener.h"
#include "server/rpc/access_gate.h"

namespace diffusiond {

// Connections reach the server by the way that gRPC has for those accepted elsewhere. Thread-safe.
class ServerPort {
 public:
  // Binds, and tells the builder of it; calls are counted (CountCalls). With a gate whose
  // AccessControl has TLS the port has, too; else it is plaintext, and the gate is not asked.
  // UNAVAILABLE: the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<ServerPort>> Bind(Listener::Options options,
                                                          const AccessGate& gate,
                                                          grpc::ServerBuilder* builder);
  ~ServerPort() { Close(); }

  // Once the server is built.
  void Start();
  // To be called before the server shuts down.
  void Close() { listener_->Close(); }

  int port() const { return listener_->port(); }
  int CountOpen() { return listener_->CountOpen(); }
  // As ConnectionBook::CallLimitPassed.
  const char* CallLimitPassed(const std::string& peer) {
    return listener_->book()->CallLimitPassed(peer);
  }
  void HoldOpen() { listener_->HoldOpen(); }

 private:
  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

  ServerPort(std::unique_ptr<Listener> listener, std::unique_ptr<Acceptor> acceptor);

  const std::unique_ptr<Acceptor> acceptor_;
  const std::unique_ptr<Listener> listener_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SERVER_PORT_H_
