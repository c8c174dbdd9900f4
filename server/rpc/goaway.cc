#include "server/rpc/goaway.h"

#include "absl/synchronization/notification.h"
#include "grpc/support/time.h"
#include "grpcpp/alarm.h"

namespace diffusiond {

// grpc_core::Server::SendGoaways(), which takes nothing but the object; a grpc_server* points to
// one. Weak: null where the library does not have it.
void SendGoaways(grpc_server* server) __asm__("_ZN9grpc_core6Server11SendGoawaysEv")
    __attribute__((weak));

bool TellConnectionsToGo(grpc::Server& server) {
  if (SendGoaways == nullptr) return false;
  // What is inside of gRPC must run on a thread of it, as an alarm's callback does.
  absl::Notification told;
  grpc::Alarm alarm;
  alarm.Set(gpr_now(GPR_CLOCK_MONOTONIC), [&](bool) {
    SendGoaways(server.c_server());
    told.Notify();
  });
  told.WaitForNotification();
  return true;
}

}  // namespace diffusiond
