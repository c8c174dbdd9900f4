// The TCP sockets of one address to listen on.
#ifndef DIFFUSIOND_MODEL_PROCESS_LISTENING_SOCKETS_H_
#define DIFFUSIOND_MODEL_PROCESS_LISTENING_SOCKETS_H_

#include <sys/socket.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

// Owned by whoever asked, to be closed.
struct ListeningSockets {
  std::vector<int> descriptors;
  int port = 0;
};

// `address`: host:port or [IPv6]:port; port 0 takes a free one. A name is listened on at all of its
// addresses. 0.0.0.0 and [::] both mean IPv4 and IPv6, where the machine has both.
// INVALID_ARGUMENT: not of that form. UNAVAILABLE: the address is in use, not this machine's, or
// not permitted.
absl::StatusOr<ListeningSockets> ListenOn(const std::string& address);

// Whom a connection counts for, "ipv4:192.0.2.1" or "ipv6:[2001:db8::]": a host has all of an IPv6
// network of 64 bits to choose its addresses from. IPv4 on an IPv6 socket is IPv4. "unknown" for
// other families.
std::string HostOf(const sockaddr_storage& address);

// As gRPC would write a peer, with brackets as they are: "ipv4:192.0.2.1:50051",
// "ipv6:[2001:db8::1]:50051". IPv4 on an IPv6 socket is IPv4. "unknown" for other families.
std::string PeerOf(const sockaddr_storage& address);

// As HostOf, of what gRPC calls a peer: "ipv4:192.0.2.1:50051", "ipv6:%5B2001:db8::1%5D:50051". A
// peer of another kind as it is.
std::string HostOfPeer(const std::string& peer);

// Closes a connection so that its other end hears of it at once (RST) and no state is kept.
void ResetConnection(int descriptor);

// Whether "host" or "host:port" is this machine and nobody else, by its form alone: localhost,
// 127.0.0.0/8, [::1].
bool IsLoopback(const std::string& address);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_LISTENING_SOCKETS_H_
