// A TCP socket that listens.
#ifndef DIFFUSIOND_MODEL_PROCESS_LISTENING_SOCKET_H_
#define DIFFUSIOND_MODEL_PROCESS_LISTENING_SOCKET_H_

#include <string>

#include "absl/status/statusor.h"

namespace diffusiond {

struct ListeningSocket {
  int descriptor = -1;  // Does not block. Whoever has it closes it.
  int port = 0;
};

// `address` is "host:port", an IPv6 host in brackets; "[::]" takes IPv4 too. Port 0 takes a free
// one. INVALID_ARGUMENT: not of that form. UNAVAILABLE: it cannot be listened on, and why.
absl::StatusOr<ListeningSocket> ListenOn(const std::string& address);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_LISTENING_SOCKET_H_
