// Whether a server tells how its API looks.
#ifndef DIFFUSIOND_SERVER_RPC_REFLECTION_H_
#define DIFFUSIOND_SERVER_RPC_REFLECTION_H_

#include "grpcpp/server_builder.h"

namespace diffusiond {

// grpc.reflection.v1alpha for the services of this builder, or not: gRPC adds it to every server of
// a process in which one has asked for it, or which links its library.
void SetReflection(bool wanted, grpc::ServerBuilder* builder);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_REFLECTION_H_
