#include "model/process/listening_sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/loopback.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

void Close(const ListeningSockets& sockets) {
  for (const int descriptor : sockets.descriptors) close(descriptor);
}

TEST(ListenOn, TakesAFreePort) {
  const auto sockets = ListenOn("127.0.0.1:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_GT(sockets->port, 0);
  EXPECT_THAT(sockets->descriptors, SizeIs(1));
  EXPECT_TRUE(ConnectTo(sockets->port).ok());
  Close(*sockets);
}

TEST(ListenOn, ANameAndEveryWildcardCanBeReachedByIPv4) {
  for (const std::string host : {"localhost", "0.0.0.0", "[::]"}) {
    const auto sockets = ListenOn(absl::StrCat(host, ":0"));
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    EXPECT_TRUE(ConnectTo(sockets->port).ok()) << host;
    Close(*sockets);
  }
}

TEST(ListenOn, SaysWhyItCannot) {
  const auto first = ListenOn("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const std::string taken = absl::StrCat("127.0.0.1:", first->port);
  EXPECT_THAT(ListenOn(taken).status().ToString(),
              HasSubstr(absl::StrCat("cannot listen on ", taken, ": Address already in use")));
  Close(*first);
  EXPECT_THAT(ListenOn("192.0.2.1:0").status().ToString(),
              HasSubstr("cannot listen on 192.0.2.1:0: Cannot assign requested address"));
  EXPECT_THAT(ListenOn("no-such-host.invalid:0").status().ToString(),
              HasSubstr("cannot listen on no-such-host.invalid:0: "));
}

sockaddr_storage AddressOf(int family, const char* text) {
  sockaddr_storage address = {};
  address.ss_family = static_cast<sa_family_t>(family);
  void* const raw = family == AF_INET
                        ? static_cast<void*>(&reinterpret_cast<sockaddr_in&>(address).sin_addr)
                        : &reinterpret_cast<sockaddr_in6&>(address).sin6_addr;
  EXPECT_EQ(inet_pton(family, text, raw), 1);
  return address;
}

TEST(HostOf, IsTheSameForIPv4OnEitherKindOfSocketAndForAllOfAnIPv6Network) {
  EXPECT_EQ(HostOf(AddressOf(AF_INET, "192.0.2.1")), "ipv4:192.0.2.1");
  EXPECT_EQ(HostOf(AddressOf(AF_INET6, "::ffff:192.0.2.1")), "ipv4:192.0.2.1");
  EXPECT_EQ(HostOf(AddressOf(AF_INET6, "2001:db8::1")), "ipv6:[2001:db8::]");
  EXPECT_EQ(HostOf(AddressOf(AF_INET6, "2001:db8::1:2:3:4")), "ipv6:[2001:db8::]");
  EXPECT_EQ(HostOf(AddressOf(AF_INET6, "2001:db8:0:1::1")), "ipv6:[2001:db8:0:1::]");
}

TEST(PeerOf, IsWrittenAsGrpcWritesIt) {
  EXPECT_EQ(PeerOf(AddressOf(AF_INET, "192.0.2.1")), "ipv4:192.0.2.1:0");
  EXPECT_EQ(PeerOf(AddressOf(AF_INET6, "::ffff:192.0.2.1")), "ipv4:192.0.2.1:0");
  EXPECT_EQ(PeerOf(AddressOf(AF_INET6, "2001:db8::1")), "ipv6:[2001:db8::1]:0");
  EXPECT_EQ(HostOfPeer(PeerOf(AddressOf(AF_INET6, "2001:db8::1"))), "ipv6:[2001:db8::]");
}

TEST(HostOfPeer, IsTheSameAsOfItsSocket) {
  EXPECT_EQ(HostOfPeer("ipv4:192.0.2.1:50051"), "ipv4:192.0.2.1");
  EXPECT_EQ(HostOfPeer("ipv6:%5B2001:db8::1%5D:50051"), "ipv6:[2001:db8::]");
  EXPECT_EQ(HostOfPeer("ipv6:[2001:db8::1]:50051"), "ipv6:[2001:db8::]");
  EXPECT_EQ(HostOfPeer("ipv6:%5Bfe80::1%25eth0%5D:50051"), "ipv6:[fe80::]");
  EXPECT_EQ(HostOfPeer("ipv6:nonsense:1"), "ipv6:nonsense");
  EXPECT_EQ(HostOfPeer("inproc:x"), "inproc:x");
}

TEST(ListeningSocketsTest, KnowsThisMachineByItsForm) {
  for (const char* address :
       {"localhost", "localhost:80", "127.0.0.1", "127.255.0.9:1", "[::1]", "[::1]:8080"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const char* address : {"", ":80", "0.0.0.0:80", "[::]:80", "127.evil.example", "127.1:80",
                              "127.0.0.1.evil.example:80", "localhost.evil.example", "[::2]:1",
                              "192.0.2.1", "127.0.0.256"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

}  // namespace
}  // namespace diffusiond
