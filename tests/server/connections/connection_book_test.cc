#include "server/connections/connection_book.h"

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

}  // namespace
}  // namespace diffusiond
