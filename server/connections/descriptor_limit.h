// How many files and sockets this process may have open.
#ifndef DIFFUSIOND_SERVER_CONNECTIONS_DESCRIPTOR_LIMIT_H_
#define DIFFUSIOND_SERVER_CONNECTIONS_DESCRIPTOR_LIMIT_H_

namespace diffusiond {

// For what is no connection: model files, metrics, the libraries' own.
inline constexpr int kDescriptorsForOthers = 256;

// Raises the soft limit (setrlimit(2)) as far as `connections` need and the hard limit allows.
// Returns how many connections there is room for: `connections`, or less, at least 1.
int MakeRoomForConnections(int connections);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_CONNECTIONS_DESCRIPTOR_LIMIT_H_
