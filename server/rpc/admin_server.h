// diffusiond.v1.ModelAdmin, on an address of its own.
#ifndef DIFFUSIOND_SERVER_RPC_ADMIN_SERVER_H_
#define DIFFUSIOND_SERVER_RPC_ADMIN_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "diffusiond/v1/admin.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/server.h"
#include "server/access/access_control.h"
#include "server/models/model_admin.h"
#include "server/rpc/access_gate.h"
#include "server/rpc/call_log.h"
#include "server/rpc/server_port.h"

namespace diffusiond {

// Thread-safe. Serves from Start to destruction, which waits for calls: stop what they wait for
// before. Apart from the server of images because who may ask for images may not swap models.
class AdminServer {
 public:
  struct Options {
    std::string listen_address = {};  // As Server's; empty: only InProcessChannel.
    CallLog::Options log = {};        // Refusals in it are calls that name what cannot be.
    // As Server::Options has them.
    AccessLog* access_log = nullptr;
    AccessControl* access = nullptr;
    bool reflection = true;
  };

  // `admin` is not owned. UNAVAILABLE: the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(Options options, ModelAdmin* admin);
  ~AdminServer();

  int port() const { return port_ != nullptr ? port_->port() : 0; }
  std::shared_ptr<grpc::Channel> InProcessChannel();

 private:
  AdminServer(Options options, ModelAdmin* admin);
  absl::Status Listen();

  const Options options_;
  CallLog log_;
  const std::unique_ptr<AccessControl> open_to_all_;  // Unless the options have another.
  const AccessGate gate_;
  const std::unique_ptr<v1::ModelAdmin::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ServerPort> port_;  // Null: only InProcessChannel.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_ADMIN_SERVER_H_
