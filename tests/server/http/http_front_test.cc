// The front over real sockets, before a server with fakes.
#include "server/http/http_front.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/server/http/front_requests.h"
#include "tests/server/rpc/secured_server.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kTwo[] = R"({"count": 2, "seed": "7", "className": "sneaker"})";

const std::string kEvents = "Accept: text/event-stream\r\n";

TEST(HttpFrontTest, AnswersWithAllImagesInTheirOrder) {
  TestServer server;
  const auto front = StartBefore(server);
  const std::string answer = Ask(*front, Post("/v1/generate", kTwo));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  const auto body = nlohmann::json::parse(BodyOf(answer));
  ASSERT_THAT(body["images"], SizeIs(2));
  EXPECT_EQ(body["images"][1]["imageIndex"], 1);
  EXPECT_EQ(body["receipt"]["parameters"]["className"], "Sneaker");
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("POST /v1/generate OK"));
  EXPECT_EQ(server.metrics().images_sent(), 2);
  EXPECT_THAT(server.AwaitLog(1),
              ElementsAre(AllOf(HasSubstr("method=\"POST /v1/generate\""), HasSubstr("images=2"),
                                HasSubstr("peer=ipv4:127.0.0.1:"))));
}

TEST(HttpFrontTest, StreamsEventsAsTheyCome) {
  TestServer server({[] {
    TestServer::Options options;
    options.puppet = true;
    return options;
  }()});
  const auto front = StartBefore(server);
  const HttpPeer peer(front->port());
  peer.Send(Post("/v1/generate", kTwo, kEvents));
  // Nothing was drawn yet.
  EXPECT_THAT(peer.ReadUntil("event: accepted"), HasSubstr("Content-Type: text/event-stream"));
  server.executor().ReleaseAll();
  const std::string rest = peer.ReadToEnd();
  EXPECT_THAT(rest, AllOf(HasSubstr("event: progress"), HasSubstr("event: image"),
                          HasSubstr("event: completed")));
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("POST /v1/generate OK"));
}

TEST(HttpFrontTest, WhoGoesAwayFreesItsRowsAtTheNextStep) {
  TestServer::Options options;
  options.puppet = true;
  TestServer server(options);
  const auto front = StartBefore(server);
  {
    const HttpPeer peer(front->port());
    peer.Send(Post("/v1/generate", kTwo, kEvents));
    peer.ReadUntil("event: accepted");
  }
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("POST /v1/generate CANCELLED"));
  server.executor().ReleaseAll();
  EXPECT_TRUE(server.engine().Drain(absl::Now() + absl::Minutes(1)));
}

TEST(HttpFrontTest, ADrainWaitsForWhatRunsAndRefusesTheRest) {
  TestServer::Options options;
  options.puppet = true;
  TestServer server(options);
  const auto front = StartBefore(server);
  EXPECT_THAT(Ask(*front, Get("/readyz")), StartsWith("HTTP/1.1 200"));
  const HttpPeer peer(front->port());
  peer.Send(Post("/v1/generate", kTwo, kEvents));
  peer.ReadUntil("event: accepted");
  std::thread drain([&] { EXPECT_TRUE(server.server().Drain(absl::Now() + absl::Minutes(1))); });
  while (server.server().IsServing()) std::this_thread::yield();
  EXPECT_THAT(Ask(*front, Post("/v1/generate", kTwo)),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("\"code\":\"UNAVAILABLE\"")));
  EXPECT_THAT(Ask(*front, Get("/readyz")), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask(*front, Get("/livez")), StartsWith("HTTP/1.1 200"));
  server.executor().ReleaseAll();
  EXPECT_THAT(peer.ReadToEnd(), HasSubstr("event: completed"));
  drain.join();
}

TEST(HttpFrontTest, TheEndOfTheServerEndsItsStreams) {
  TestServer::Options options;
  options.puppet = true;
  TestServer server(options);
  auto front = StartBefore(server);
  const HttpPeer peer(front->port());
  peer.Send(Post("/v1/generate", kTwo, kEvents));
  peer.ReadUntil("event: accepted");
  front.reset();
  EXPECT_THAT(peer.ReadToEnd(), Not(HasSubstr("event: completed")));
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("POST /v1/generate CANCELLED"));
  server.executor().ReleaseAll();
}

TEST(HttpFrontTest, AFaultyNetworkIsAnErrorInTheStreamOrInPlaceOfTheAnswer) {
  TestServer::Options options;
  options.executor.task_fault = [](const StepTask& task) {
    return task.plan_row == 2 ? absl::InternalError("not a number") : absl::OkStatus();
  };
  TestServer server(options);
  const auto front = StartBefore(server);
  EXPECT_THAT(Ask(*front, Post("/v1/generate", kTwo, kEvents)),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("event: error\ndata: {\"error\":"),
                    HasSubstr("\"type\":\"server_error\"")));
  EXPECT_THAT(Ask(*front, Post("/v1/generate", kTwo)), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(server.metrics().AwaitFinished(2), Each(EndsWith(" INTERNAL")));
}

TEST(HttpFrontTest, TakesNoPagesOfOtherSites) {
  TestServer server;
  const auto front = StartBefore(server);
  const std::string own = absl::StrCat("Origin: http://localhost\r\n");
  EXPECT_THAT(Ask(*front, Post("/v1/generate", kTwo, own)), StartsWith("HTTP/1.1 200"));
  for (const char* origin :
       {"https://evil.example", "null", "http://localhost.evil.example", "http://localhost:1"}) {
    EXPECT_THAT(Ask(*front, Post("/v1/generate", kTwo, absl::StrCat("Origin: ", origin, "\r\n"))),
                StartsWith("HTTP/1.1 403"))
        << origin;
  }
  // What a browser sends for a picture of another page, or of another port's.
  for (const char* site : {"cross-site", "same-site"}) {
    const std::string fetched = absl::StrCat("Sec-Fetch-Site: ", site, "\r\n");
    EXPECT_THAT(Ask(*front, Get("/v1/generate?class=sneaker", fetched)),
                StartsWith("HTTP/1.1 403"));
    EXPECT_THAT(Ask(*front, Get("/", fetched)), StartsWith("HTTP/1.1 200")) << "a link";
  }
  for (const char* site : {"same-origin", "none"}) {
    const std::string fetched = absl::StrCat("Sec-Fetch-Site: ", site, "\r\n");
    EXPECT_THAT(Ask(*front, Get("/v1/generate?class=sneaker", fetched)),
                StartsWith("HTTP/1.1 200"));
  }
  for (const char* host : {"evil.example", "127.evil.example", "localhost.evil.example:80"}) {
    EXPECT_THAT(Ask(*front, absl::StrCat("GET /v1/models HTTP/1.1\r\nHost: ", host,
                                         "\r\nConnection: close\r\n\r\n")),
                StartsWith("HTTP/1.1 403"))
        << host;
  }
}

TEST(HttpFrontTest, ManyAtOnceGetWhatIsTheirs) {
  TestServer server;
  const auto front = StartBefore(server);
  constexpr int kThreads = 8, kRequests = 20;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRequests; ++i) {
        if (i % 4 == 3) {  // Leaves in the middle.
          const HttpPeer peer(front->port());
          peer.Send(Post("/v1/generate", kTwo, kEvents));
          peer.ReadUntil("event: accepted");
          continue;
        }
        const std::string seed = absl::StrCat(t * kRequests + i);
        const std::string answer =
            Ask(*front, Get(absl::StrCat("/v1/generate?class=sneaker&count=2&seed=", seed),
                            i % 2 == 0 ? kEvents : "Accept: application/json\r\n"));
        EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200"),
                                  HasSubstr(absl::StrCat("\"seed\":\"", seed, "\""))));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  server.metrics().AwaitFinished(kThreads * kRequests);
  EXPECT_TRUE(server.engine().Drain(absl::Now() + absl::Minutes(1)));
}

// Nobody without a credential, with a wrong one, or with another right, on any route but probes.
TEST(HttpFrontTest, AccessIsAsByGrpc) {
  SecuredServer secured({.list = AccessJson({IdentityJson("web", "generate", "draws"),
                                             IdentityJson("reader", "read", "reads")})});
  const auto front = StartBefore(secured.server());
  const std::string drawing[] = {Post("/v1/generate", kTwo, "%"),
                                 Get("/v1/generate?class=sneaker", "%"),
                                 Post("/v1/images/generations", R"({"prompt": "Sneaker"})", "%")};
  const std::string reading[] = {Get("/v1/models", "%"), Get("/v1/models/clothes", "%")};
  const auto with = [&](std::string request, const std::string& header) {
    request.replace(request.find('%'), 1, header);
    return Ask(*front, request);
  };
  const auto token = [](const std::string& text) {
    return absl::StrCat("Authorization: Bearer ", text, "\r\n");
  };
  const auto check = [&](const std::string& request, const std::string& right,
                         const std::string& other) {
    EXPECT_THAT(with(request, ""),
                AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("WWW-Authenticate: Bearer")));
    EXPECT_THAT(with(request, token("guessed")), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(with(request, "Authorization: Basic ZHJhd3M=\r\n"), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(with(request, token(right) + token(right)), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(with(request, token(other)), StartsWith("HTTP/1.1 403"));
    EXPECT_THAT(with(request, token(right)), StartsWith("HTTP/1.1 200"));
  };
  for (const std::string& request : drawing) check(request, "draws", "reads");
  for (const std::string& request : reading) check(request, "reads", "draws");
  EXPECT_THAT(Ask(*front, Get("/livez")), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(*front, Get("/readyz")), StartsWith("HTTP/1.1 200"));
  secured.WriteList(AccessJson({IdentityJson("reader", "read", "reads")}));
  secured.access().Poll();
  EXPECT_THAT(with(drawing[0], token("draws")), StartsWith("HTTP/1.1 401")) << "revoked";
}

}  // namespace
}  // namespace diffusiond
