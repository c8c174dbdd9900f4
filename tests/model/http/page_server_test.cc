#include "model/http/page_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kRequest[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
// More than the buffers of a connection take.
constexpr size_t kLargePage = 8 << 20;

std::unique_ptr<PageServer> StartServer(std::string page = "up 1\n", int max_connections = 64) {
  auto server = PageServer::Start({.listen = "127.0.0.1:0",
                                   .path = "/metrics",
                                   .content_type = "text/strange",
                                   .page = [page] { return page; },
                                   .max_connections = max_connections,
                                   .idle_timeout = absl::ZeroDuration()});
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

absl::Status StatusOfStart(const std::string& listen) {
  return PageServer::Start({.listen = listen,
                            .path = "/metrics",
                            .content_type = "text/plain",
                            .page = [] { return std::string(); }})
      .status();
}

bool MachineHasIpv6() {
  const int fd = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return bound;
}

TEST(PageServerTest, GetGivesThePage) {
  const auto server = StartServer();
  const std::string answer = HttpAnswer(server->port(), "GET", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/strange\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nup 1\n"));
}

TEST(PageServerTest, HeadGivesTheHeadersAlone) {
  const auto server = StartServer();
  const std::string answer = HttpAnswer(server->port(), "HEAD", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST(PageServerTest, OtherMethodsAreNotAllowed) {
  const auto server = StartServer();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "STRANGE"}) {
    const std::string answer = HttpAnswer(server->port(), method, "/metrics");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405")) << method;
    EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n")) << method;
  }
}

TEST(PageServerTest, OtherPathsAreNotFound) {
  const auto server = StartServer();
  for (const char* path : {"/", "/metrics/", "/metrics/more", "/../metrics", "/Metrics"}) {
    EXPECT_THAT(HttpAnswer(server->port(), "GET", path), StartsWith("HTTP/1.1 404")) << path;
  }
}

TEST(PageServerTest, AConnectionMayAskAgain) {
  const auto server = StartServer();
  const HttpPeer peer(server->port());
  for (int i = 0; i < 3; ++i) {
    peer.Send(kRequest);
    EXPECT_THAT(peer.ReadUntil("up 1\n"), StartsWith("HTTP/1.1 200"));
  }
}

TEST(PageServerTest, NoClientHoldsUpAnother) {
  struct Case {
    const char* name;
    std::string sends;
  };
  for (const Case& rude :
       {Case{"says nothing", ""}, Case{"half a request line", "GET /met"},
        Case{"headers without end", "GET /metrics HTTP/1.1\r\nHost: x\r\n"},
        Case{"reads nothing", kRequest},
        Case{"a body that does not come",
             "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"}}) {
    SCOPED_TRACE(rude.name);
    const auto server = StartServer(std::string(kLargePage, 'x'), /*max_connections=*/8);
    std::vector<std::unique_ptr<HttpPeer>> peers;
    for (int i = 0; i < 200; ++i) {
      peers.push_back(std::make_unique<HttpPeer>(server->port()));
      if (!rude.sends.empty()) peers.back()->SendWhatIsTaken(rude.sends);
    }
    EXPECT_GT(HttpAnswer(server->port(), "GET", "/metrics").size(), kLargePage);
  }
}

TEST(PageServerTest, ClosesTheConnectionLongestWithoutARequest) {
  const auto server = StartServer("up 1\n", /*max_connections=*/2);
  const auto ask = [](const HttpPeer& peer) {
    peer.Send(kRequest);
    return peer.ReadUntil("up 1\n");
  };
  const HttpPeer first(server->port());
  ask(first);
  const HttpPeer second(server->port());
  ask(second);
  ask(first);
  const HttpPeer third(server->port());
  EXPECT_THAT(second.ReadToEnd(), IsEmpty());
  EXPECT_THAT(ask(first), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(ask(third), StartsWith("HTTP/1.1 200"));
}

TEST(PageServerTest, WhoGoesInTheMiddleOfARequestIsLetGo) {
  const auto server = StartServer();
  for (const char* half : {"G", "GET /met", "GET /metrics HTTP/1.1\r\nHost: x\r\n"}) {
    // Its end is seen with its last bytes or after them.
    for (int i = 0; i < 20; ++i) {
      const HttpPeer peer(server->port());
      peer.SendLast(half);
      EXPECT_THAT(peer.ReadToEnd(), IsEmpty()) << half;
    }
  }
}

TEST(PageServerTest, ARequestOfAnySizeTakesLittleRoom) {
  const auto server = StartServer();
  const HttpPeer peer(server->port());
  peer.SendWhatIsTaken(absl::StrCat("GET /", std::string(1 << 20, 'x'), " HTTP/1.1\r\n\r\n"));
  EXPECT_THAT(HttpAnswer(server->port(), "GET", "/metrics"), StartsWith("HTTP/1.1 200"));
  peer.ReadToEnd();  // It was closed.
}

TEST(PageServerTest, ListensOnIpv6) {
  if (!MachineHasIpv6()) GTEST_SKIP() << "no IPv6 here";
  EXPECT_EQ(StatusOfStart("[::1]:0"), absl::OkStatus());
  // IPv4 reaches it, too.
  const auto server = PageServer::Start(
      {.listen = "[::]:0", .path = "/metrics", .content_type = "text/plain", .page = [] {
         return std::string("up 1\n");
       }});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT(HttpAnswer((*server)->port(), "GET", "/metrics"), EndsWith("up 1\n"));
}

TEST(PageServerTest, SaysWhyItCannotListen) {
  const auto first = StartServer();
  const std::string taken = absl::StrCat("127.0.0.1:", first->port());
  EXPECT_EQ(StatusOfStart(taken), absl::UnavailableError(absl::StrCat("cannot listen on ", taken,
                                                                      ": Address already in use")));
  EXPECT_EQ(
      StatusOfStart("192.0.2.1:9464"),
      absl::UnavailableError("cannot listen on 192.0.2.1:9464: Cannot assign requested address"));
}

TEST(PageServerTest, RefusesWhatIsNoAddress) {
  for (const char* listen :
       {"", "9464", ":9464", "localhost", "localhost:", "localhost:http", "localhost:70000",
        "localhost:-1", "localhost:+1", "127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1s", "::1:9464",
        "[::1:9464", "[]:9464", "[localhost]:9464", "local host:9464"}) {
    const absl::Status status = StatusOfStart(listen);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << listen;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("'", listen, "'")));
  }
}

}  // namespace
}  // namespace diffusiond
