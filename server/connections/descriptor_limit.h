// How many files and sockets this process may have open.
#ifndef DIFFUSIOND_SERVER_CONNECTIONS_DESCRIPTOR_LIMIT_H_
#define DIFFUSIOND_SERVER_CONNECTIONS_DESCRIPTOR_LIMIT_H_

namespace diffusiond {

// For all else: model files, certificates, the connections of the metrics' and the operators' ports
// (192 at most), the libraries' own.
inline constexpr int kDescriptorsForOthers = 512;

// Of the ports that clients come to.
struct Connections {
  int grpc = 0;
  int http = 0;
};

// Raises the soft limit (setrlimit(2)) as far as `wanted` needs and the hard limit allows. Returns
// how many there is room for: `wanted`, or less, divided as it is, at least 1 where any are wanted.
Connections MakeRoomForConnections(const Connections& wanted);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_CONNECTIONS_DESCRIPTOR_LIMIT_H_
