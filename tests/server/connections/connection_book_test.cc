#include "server/connections/connection_book.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using Verdict = ConnectionBook::Verdict;

int NewSocket() { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

TEST(ConnectionBook, TakesAsManyAsAllowedAndMoreWhenSomeHaveClosed) {
  ConnectionBook book({.total = 3, .per_address = 3});
  std::vector<int> sockets;
  for (int i = 0; i < 3; ++i) {
    sockets.push_back(NewSocket());
    EXPECT_EQ(book.Take(sockets.back(), "ipv4:192.0.2.1"), Verdict::kTaken);
  }
  const int refused = NewSocket();
  EXPECT_EQ(book.Take(refused, "ipv4:192.0.2.2"), Verdict::kTooMany);
  EXPECT_EQ(book.CountOpen(), 3);
  close(sockets[1]);
  EXPECT_EQ(book.CountOpen(), 2);
  EXPECT_EQ(book.Take(refused, "ipv4:192.0.2.2"), Verdict::kTaken);
  close(sockets[0]);
  close(sockets[2]);
  close(refused);
  EXPECT_EQ(book.CountOpen(), 0);
}

TEST(ConnectionBook, LeavesPlacesForOtherAddresses) {
  ConnectionBook book({.total = 10, .per_address = 2});
  std::vector<int> sockets;
  for (int i = 0; i < 4; ++i) sockets.push_back(NewSocket());
  EXPECT_EQ(book.Take(sockets[0], "ipv4:192.0.2.1"), Verdict::kTaken);
  EXPECT_EQ(book.Take(sockets[1], "ipv4:192.0.2.1"), Verdict::kTaken);
  EXPECT_EQ(book.Take(sockets[2], "ipv4:192.0.2.1"), Verdict::kTooManyOfAddress);
  EXPECT_EQ(book.Take(sockets[3], "ipv4:192.0.2.2"), Verdict::kTaken);
  close(sockets[0]);
  EXPECT_EQ(book.Take(sockets[2], "ipv4:192.0.2.1"), Verdict::kTaken);
  for (int i = 1; i < 4; ++i) close(sockets[i]);
}

TEST(ConnectionBook, ADescriptorThatIsGivenOutAgainIsANewConnection) {
  ConnectionBook book({.total = 1, .per_address = 1});
  const int first = NewSocket();
  EXPECT_EQ(book.Take(first, "ipv4:192.0.2.1"), Verdict::kTaken);
  close(first);
  const int second = NewSocket();
  ASSERT_EQ(second, first) << "the lowest free number is given out";
  EXPECT_EQ(book.Take(second, "ipv4:192.0.2.2"), Verdict::kTaken);
  EXPECT_EQ(book.CountOpen(), 1);
  close(second);
}

// A connection over loopback: what the server holds, and its client.
struct Pair {
  int server = -1;
  int client = -1;
};

Pair Connected() {
  const int listening = NewSocket();
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const at = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(listening, at, size), 0);
  EXPECT_EQ(listen(listening, 1), 0);
  EXPECT_EQ(getsockname(listening, at, &size), 0);
  Pair pair{.client = NewSocket()};
  EXPECT_EQ(connect(pair.client, at, size), 0);
  pair.server = accept(listening, nullptr, nullptr);
  close(listening);
  return pair;
}

// What the client gets of a connection that the server ends without having read all: 0 for an
// orderly end, else errno.
int EndAsSeenByTheClient(bool held) {
  ConnectionBook book({.total = 1, .per_address = 1});
  const Pair pair = Connected();
  EXPECT_EQ(book.Take(pair.server, "ipv4:127.0.0.1"), Verdict::kTaken);
  if (held) book.HoldOpen();
  EXPECT_EQ(send(pair.client, "x", 1, MSG_NOSIGNAL), 1);
  pollfd unread = {.fd = pair.server, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&unread, 1, -1), 1);
  shutdown(pair.server, SHUT_RDWR);  // As gRPC does.
  close(pair.server);
  EXPECT_EQ(book.CountOpen(), 0);
  pollfd ended = {.fd = pair.client, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&ended, 1, -1), 1);
  int fault = 0;
  socklen_t size = sizeof(fault);
  getsockopt(pair.client, SOL_SOCKET, SO_ERROR, &fault, &size);
  close(pair.client);
  return fault;
}

TEST(ConnectionBook, WhatItHoldsEndsInOrderWhateverIsUnread) {
  EXPECT_EQ(EndAsSeenByTheClient(/*held=*/true), 0);
  EXPECT_NE(EndAsSeenByTheClient(/*held=*/false), 0) << "else there is nothing to hold for";
}

}  // namespace
}  // namespace diffusiond
