// A client of HTTP for tests, which also does what no good client does.
#ifndef DIFFUSIOND_TESTS_TESTING_HTTP_PEER_H_
#define DIFFUSIOND_TESTS_TESTING_HTTP_PEER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace diffusiond {

// One connection to a port of loopback, from construction to destruction.
class HttpPeer {
 public:
  explicit HttpPeer(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  HttpPeer(const HttpPeer&) = delete;
  HttpPeer& operator=(const HttpPeer&) = delete;
  ~HttpPeer() { close(fd_); }

  int descriptor() const { return fd_; }

  void Send(const std::string& text) const {
    EXPECT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  // The server may close the connection meanwhile.
  void SendWhatIsTaken(const std::string& text) const {
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }

  // Nothing more is sent. What the server answers can still be read.
  void SendLast(const std::string& text) const {
    Send(text);
    shutdown(fd_, SHUT_WR);
  }

  // Its end will be a reset, as of a machine that knows of no connection.
  void ResetAtEnd() const {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  }

  // All that the server sends until it closes the connection.
  std::string ReadToEnd() const {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(fd_, buffer, sizeof(buffer))) > 0;) text.append(buffer, n);
    return text;
  }

  // What comes until `end` has come, that included.
  std::string ReadUntil(const std::string& end) const {
    std::string text;
    char byte;
    while (!absl::EndsWith(text, end) && read(fd_, &byte, 1) == 1) text += byte;
    return text;
  }

 private:
  const int fd_;
};

// The whole answer, headers included.
inline std::string HttpAnswer(int port, const std::string& method, const std::string& path) {
  const HttpPeer peer(port);
  peer.Send(
      absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  return peer.ReadToEnd();
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_HTTP_PEER_H_
