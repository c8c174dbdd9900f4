// The front over real sockets, before a server with fakes.
#include "server/http/http_front.h"

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"
#include "server/metrics/counted_http.h"
#include "server/metrics/server_metrics.h"
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
  // Neither, where there is no TLS.
  for (const char* page : {"http://evil.example/", "http://localhost.evil.example/localhost"}) {
    const std::string referer = absl::StrCat("Referer: ", page, "\r\n");
    EXPECT_THAT(Ask(*front, Get("/v1/generate?class=sneaker", referer)),
                StartsWith("HTTP/1.1 403"));
    EXPECT_THAT(Ask(*front, Get("/", referer)), StartsWith("HTTP/1.1 200")) << "a link";
  }
  EXPECT_THAT(Ask(*front, Get("/v1/generate?class=sneaker", "Referer: http://localhost/?a=b\r\n")),
              StartsWith("HTTP/1.1 200"));
  for (const char* host : {"evil.example", "127.evil.example", "localhost.evil.example:80"}) {
    EXPECT_THAT(Ask(*front, absl::StrCat("GET /v1/models HTTP/1.1\r\nHost: ", host,
                                         "\r\nConnection: close\r\n\r\n")),
                StartsWith("HTTP/1.1 403"))
        << host;
  }
}

class CountedFrontTest : public ::testing::Test {
 protected:
  std::unique_ptr<HttpFront> Start(ConnectionRate::Limits rate = {}) {
    auto front = HttpFront::Start({.listen = "127.0.0.1:0",
                                   .connection_rate = rate,
                                   .observer = std::make_shared<CountedHttp>(&metrics_)},
                                  server_.server().context());
    EXPECT_TRUE(front.ok()) << front.status();
    return *std::move(front);
  }
  static bool IsTaken(const HttpFront& front) {
    const HttpPeer peer(front.port());
    peer.SendWhatIsTaken(Get("/livez"));
    return !peer.ReadToEnd().empty();
  }
  // What a scrape shows, with an end of line before each.
  std::string Text() const {
    return "\n" + prometheus::TextSerializer().Serialize(registry_.Collect());
  }

  TestServer server_;
  prometheus::Registry registry_;
  ServerMetrics metrics_{&registry_, "1.2.3"};
};

TEST_F(CountedFrontTest, WhatIsRefusedBeforeAHandlerIsCounted) {
  const auto front = Start();
  const struct {
    std::string request;
    int status;
  } kRefused[] = {
      {Get("/v1/models", "Origin: https://evil.example\r\n"), 403},
      {Get("/nothing"), 404},
      {Post("/v1/models", ""), 405},
      {"HEAD /v1/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405},
      {absl::StrCat("POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ", 5 << 20,
                    "\r\n\r\n"),
       413},
  };
  for (const auto& [request, status] : kRefused) {
    EXPECT_THAT(Ask(*front, request), StartsWith(absl::StrCat("HTTP/1.1 ", status))) << request;
  }
  EXPECT_THAT(Ask(*front, Get("/v1/models")), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Text(), AllOf(HasSubstr("\ndiffusiond_http_refusals_total{code=\"403\"} 1\n"),
                            HasSubstr("\ndiffusiond_http_refusals_total{code=\"404\"} 1\n"),
                            HasSubstr("\ndiffusiond_http_refusals_total{code=\"405\"} 2\n"),
                            HasSubstr("\ndiffusiond_http_refusals_total{code=\"413\"} 1\n"),
                            HasSubstr("\ndiffusiond_http_refusals_total{code=\"408\"} 0\n")));
}

TEST_F(CountedFrontTest, OpenConnectionsAreShown) {
  const auto front = Start();
  const HttpPeer peer(front->port());
  peer.Send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  peer.ReadUntil("ok\n");
  EXPECT_THAT(Text(), HasSubstr("\ndiffusiond_http_connections 1\n"));
  front->Drain(absl::InfiniteDuration());
  EXPECT_THAT(Text(), HasSubstr("\ndiffusiond_http_connections 0\n"));
}

TEST_F(CountedFrontTest, LabelsAreOfClosedSets) {
  CountedHttp counted(&metrics_);
  const size_t series = std::ranges::count(Text(), '\n');
  for (const HttpRefusal refusal :
       {HttpRefusal::kConnections, HttpRefusal::kConnectionsOfAddress, HttpRefusal::kDescriptors,
        HttpRefusal::kTls, HttpRefusal::kRate, HttpRefusal::kRateOfAddress}) {
    counted.OnConnectionRefused(refusal);
  }
  counted.OnConnection();
  counted.OnConnectionEnded(HttpEnd::kEvicted);
  EXPECT_EQ(std::ranges::count(Text(), '\n'), series);
  EXPECT_THAT(Text(), AllOf(HasSubstr("{limit=\"max_http_connections\"} 1\n"),
                            HasSubstr("{limit=\"tls_identity\"} 1\n"),
                            HasSubstr("\ndiffusiond_http_connections_evicted_total 1\n"),
                            HasSubstr("\ndiffusiond_http_connections 0\n")));
  for (const int status : {402, 418, 599}) counted.OnRequestRefused(status);
  EXPECT_THAT(Text(), HasSubstr("\ndiffusiond_http_refusals_total{code=\"other\"} 3\n"));
  EXPECT_EQ(std::ranges::count(Text(), '\n'), series + 1);
}

// So many as come at once after a pause are taken, and no more.
TEST_F(CountedFrontTest, WhoConnectsTooOftenIsReset) {
  for (const ConnectionRate::Limits& rate :
       {ConnectionRate::Limits{.total = 1, .per_address = 100}, {.total = 100, .per_address = 1}}) {
    const auto front = Start(rate);
    EXPECT_THAT(Ask(*front, Get("/livez")), StartsWith("HTTP/1.1 200"));
    // One more comes with each second that this takes.
    int tries = 0;
    while (IsTaken(*front) && tries < 1000) ++tries;
    EXPECT_LT(tries, 1000);
  }
  for (const char* limit :
       {"max_connections_per_second", "max_connections_per_second_per_address"}) {
    EXPECT_THAT(Text(),
                HasSubstr(absl::StrCat("\ndiffusiond_http_connections_refused_total{limit=\"",
                                       limit, "\"} 1\n")));
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
