// Connections to this machine, for tests of who is let in.
#ifndef DIFFUSIOND_TESTS_TESTING_LOOPBACK_H_
#define DIFFUSIOND_TESTS_TESTING_LOOPBACK_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace diffusiond {

// Closes its descriptor.
class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  int get() const { return descriptor_; }
  bool ok() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

// An address of this machine where no other process's tests look for servers of theirs: they may
// have had this port a moment ago.
inline std::string QuietLoopback() {
  return "127.83." + std::to_string(getpid() / 250 % 250) + "." +
         std::to_string(getpid() % 250 + 1);
}

// Not ok() if nobody listens.
inline Socket ConnectTo(int port, const std::string& host = "127.0.0.1") {
  Socket client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<in_port_t>(port));
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  const bool connected =
      connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  return connected ? std::move(client) : Socket(-1);
}

// Waits until the other end has closed the connection.
inline bool IsTurnedAway(const Socket& client) {
  char byte = 0;
  return recv(client.get(), &byte, 1, 0) <= 0;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_LOOPBACK_H_
