// A TCP port for a test's own server.
#ifndef DIFFUSIOND_TESTS_TESTING_FREE_PORT_H_
#define DIFFUSIOND_TESTS_TESTING_FREE_PORT_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

namespace diffusiond {

// Of 127.0.0.1, free a moment ago. Drawn at random from below those that the kernel gives out,
// which may give a free one of its own to another process before this test listens on it. 0: none
// could be had.
inline int FreePort() {
  std::random_device entropy;
  std::uniform_int_distribution<int> ports(20000, 31999);
  for (int tries = 0; tries < 100; ++tries) {
    const int port = ports(entropy);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (bound) return port;
  }
  return 0;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_FREE_PORT_H_
