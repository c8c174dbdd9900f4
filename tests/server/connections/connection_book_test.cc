#include "server/connections/connection_book.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using Verdict = ConnectionBook::Verdict;

int NewSocket() { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

// Taken, with a call that lasts.
void ExpectBusy(ConnectionBook& book, int socket, const std::string& peer) {
  EXPECT_EQ(book.Take(socket, peer), Verdict::kTaken);
  EXPECT_NE(book.BeginCall(peer), nullptr);
}

TEST(ConnectionBook, TakesAsManyAsAllowedAndMoreWhenSomeHaveClosed) {
  ConnectionBook book({.total = 3, .per_address = 4});
  std::vector<int> sockets;
  for (int i = 0; i < 3; ++i) {
    sockets.push_back(NewSocket());
    ExpectBusy(book, sockets.back(), absl::StrCat("ipv4:192.0.2.1:", i));
  }
  const int refused = NewSocket();
  EXPECT_EQ(book.Take(refused, "ipv4:192.0.2.2:9"), Verdict::kTooMany);
  EXPECT_EQ(book.CountOpen(), 3);
  EXPECT_EQ(book.CountCalls(), 3);
  close(sockets[1]);
  EXPECT_EQ(book.CountOpen(), 2);
  EXPECT_EQ(book.CountCalls(), 2) << "they went with their connection";
  EXPECT_EQ(book.Take(refused, "ipv4:192.0.2.2:9"), Verdict::kTaken);
  close(sockets[0]);
  close(sockets[2]);
  close(refused);
  EXPECT_EQ(book.CountOpen(), 0);
}

TEST(ConnectionBook, LeavesPlacesForOtherAddresses) {
  ConnectionBook book({.total = 10, .per_address = 2});
  std::vector<int> sockets;
  for (int i = 0; i < 4; ++i) sockets.push_back(NewSocket());
  ExpectBusy(book, sockets[0], "ipv4:192.0.2.1:1");
  ExpectBusy(book, sockets[1], "ipv4:192.0.2.1:2");
  EXPECT_EQ(book.Take(sockets[2], "ipv4:192.0.2.1:3"), Verdict::kTooManyOfAddress);
  EXPECT_EQ(book.Take(sockets[3], "ipv4:192.0.2.2:1"), Verdict::kTaken);
  close(sockets[0]);
  EXPECT_EQ(book.Take(sockets[2], "ipv4:192.0.2.1:3"), Verdict::kTaken);
  for (int i = 1; i < 4; ++i) close(sockets[i]);
}

TEST(ConnectionBook, ADescriptorThatIsGivenOutAgainIsANewConnection) {
  ConnectionBook book({.total = 1, .per_address = 1});
  const int first = NewSocket();
  EXPECT_EQ(book.Take(first, "ipv4:192.0.2.1:1"), Verdict::kTaken);
  close(first);
  const int second = NewSocket();
  ASSERT_EQ(second, first) << "the lowest free number is given out";
  EXPECT_EQ(book.Take(second, "ipv4:192.0.2.2:1"), Verdict::kTaken);
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
  EXPECT_EQ(book.Take(pair.server, "ipv4:127.0.0.1:1"), Verdict::kTaken);
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

// Whether the other end has closed the connection.
bool HasEnded(const Pair& pair) {
  pollfd ended = {.fd = pair.client, .events = POLLRDHUP, .revents = 0};
  return poll(&ended, 1, 0) > 0;
}

void Close(const std::vector<Pair>& pairs) {
  for (const Pair& pair : pairs) {
    close(pair.server);
    close(pair.client);
  }
}

std::vector<Pair> SomeConnected(int count) {
  std::vector<Pair> pairs;
  for (int i = 0; i < count; ++i) pairs.push_back(Connected());
  return pairs;
}

TEST(ConnectionBook, ClosesTheOneThatHasHadNoCallTheLongest) {
  ConnectionBook book({.total = 3, .per_address = 3});
  const std::vector<Pair> pairs = SomeConnected(5);
  const auto peer = [](int i) { return absl::StrCat("ipv4:192.0.2.1:", i); };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(book.Take(pairs[i].server, peer(i)), Verdict::kTaken);
  const auto lasting = book.BeginCall(peer(0));
  book.EndCall(book.BeginCall(peer(1)));  // So the third has had none for longer.
  EXPECT_EQ(book.Take(pairs[3].server, peer(3)), Verdict::kTakenForIdle);
  EXPECT_TRUE(HasEnded(pairs[2]));
  EXPECT_EQ(book.Take(pairs[4].server, peer(4)), Verdict::kTakenForIdle);
  EXPECT_TRUE(HasEnded(pairs[1]));
  EXPECT_FALSE(HasEnded(pairs[0])) << "it has a call";
  EXPECT_EQ(book.CountOpen(), 3);
  book.EndCall(lasting);
  Close(pairs);
}

TEST(ConnectionBook, ForAnAddressThatIsFullItClosesNoneOfAnother) {
  ConnectionBook book({.total = 9, .per_address = 1});
  const std::vector<Pair> pairs = SomeConnected(3);
  EXPECT_EQ(book.Take(pairs[0].server, "ipv4:192.0.2.2:1"), Verdict::kTaken);
  EXPECT_EQ(book.Take(pairs[1].server, "ipv4:192.0.2.1:1"), Verdict::kTaken);
  EXPECT_EQ(book.Take(pairs[2].server, "ipv4:192.0.2.1:2"), Verdict::kTakenForIdle);
  EXPECT_FALSE(HasEnded(pairs[0]));
  EXPECT_TRUE(HasEnded(pairs[1]));
  Close(pairs);
}

TEST(ConnectionBook, KnowsWhichLimitOfCallsIsPassed) {
  ConnectionBook book({.total = 9, .per_address = 9, .calls = 3, .calls_per_address = 2});
  const std::vector<Pair> pairs = SomeConnected(3);
  const std::string one = "ipv4:192.0.2.1:1", beside = "ipv4:192.0.2.1:2",
                    other = "ipv4:192.0.2.2:1";
  EXPECT_EQ(book.Take(pairs[0].server, one), Verdict::kTaken);
  EXPECT_EQ(book.Take(pairs[1].server, beside), Verdict::kTaken);
  EXPECT_EQ(book.Take(pairs[2].server, other), Verdict::kTaken);
  book.BeginCall(one);
  book.BeginCall(beside);
  EXPECT_EQ(book.CallLimitPassed(beside), nullptr);
  const auto third = book.BeginCall(beside);
  EXPECT_STREQ(book.CallLimitPassed(beside), "max_calls_per_address");
  EXPECT_EQ(book.CallLimitPassed(other), nullptr);
  book.BeginCall(other);
  EXPECT_STREQ(book.CallLimitPassed(other), "max_calls");
  book.EndCall(third);
  EXPECT_EQ(book.CallLimitPassed(other), nullptr);
  EXPECT_EQ(book.CountCalls(), 3);
  Close(pairs);
}

TEST(ConnectionBook, CallsOfAConnectionThatIsGoneEndLateAndCountForNobody) {
  ConnectionBook book({.total = 9, .per_address = 9, .calls = 9, .calls_per_address = 1});
  const std::string peer = "ipv4:192.0.2.1:1";
  const int first = NewSocket();
  EXPECT_EQ(book.Take(first, peer), Verdict::kTaken);
  const auto late = book.BeginCall(peer);
  const int second = NewSocket();  // The same port again, before the end of the first was seen.
  EXPECT_EQ(book.Take(second, peer), Verdict::kTaken);
  close(first);
  EXPECT_EQ(book.CountOpen(), 1);
  const auto call = book.BeginCall(peer);
  book.EndCall(late);
  EXPECT_EQ(book.CountCalls(), 1);
  EXPECT_EQ(book.CallLimitPassed(peer), nullptr);
  book.EndCall(call);
  EXPECT_EQ(book.CountCalls(), 0);
  EXPECT_EQ(book.BeginCall("ipv4:192.0.2.9:1"), nullptr);
  book.EndCall(nullptr);
  close(second);
}

TEST(ConnectionBook, KnowsPeersAsGrpcWritesThem) {
  ConnectionBook book({});
  const int socket = NewSocket();
  EXPECT_EQ(book.Take(socket, "ipv6:[fe80::1]:50000"), Verdict::kTaken);
  EXPECT_NE(book.BeginCall("ipv6:%5Bfe80::1%5D:50000"), nullptr);
  EXPECT_NE(book.BeginCall("ipv6:%5Bfe80::1%25eth0%5D:50000"), nullptr);
  EXPECT_EQ(book.BeginCall("ipv6:%5Bfe80::1%5D:50001"), nullptr);
  close(socket);
}

}  // namespace
}  // namespace diffusiond
