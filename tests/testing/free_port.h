// A TCP port for a test's own server.
#ifndef DIFFUSIOND_TESTS_TESTING_FREE_PORT_H_
#define DIFFUSIOND_TESTS_TESTING_FREE_PORT_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace diffusiond {

// Of 127.0.0.1; free a moment ago, and not given out again soon. 0: none could be had.
inline int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  return bound ? ntohs(address.sin_port) : 0;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_FREE_PORT_H_
