#ifndef DIFFUSIOND_SERVER_RPC_VERSION_H_
#define DIFFUSIOND_SERVER_RPC_VERSION_H_

namespace diffusiond {

extern const char kServerVersion[];  // The CMake project's.

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_VERSION_H_
