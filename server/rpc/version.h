#ifndef DIFFUSIOND_SERVER_RPC_VERSION_H_
#define DIFFUSIOND_SERVER_RPC_VERSION_H_

namespace diffusiond {

inline constexpr char kServerVersion[] = DIFFUSIOND_VERSION;  // From CMakeLists.txt.

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_VERSION_H_
