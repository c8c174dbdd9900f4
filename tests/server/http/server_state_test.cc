// GET /v1/state, before a server with fakes and the instruments of the real one.
#include "server/http/server_state.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "prometheus/registry.h"
#include "server/metrics/server_metrics.h"
#include "tests/server/http/front_requests.h"
#include "tests/server/rpc/secured_server.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using Json = nlohmann::json;

std::string AskForState(const HttpFront& front, const std::string& more = "") {
  return Ask(front, Get("/v1/state", more));
}

Json StateOf(const HttpFront& front) {
  const std::string answer = AskForState(front);
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                            HasSubstr("Content-Type: application/json\r\n")));
  return Json::parse(BodyOf(answer));
}

TEST(ServerStateTest, FollowsAGenerationFromTheQueueToItsEnd) {
  prometheus::Registry registry;
  ServerMetrics metrics(&registry, "1.2.3");
  metrics.WorkerUp("fake:0", true);
  metrics.WorkerUp("fake:1", false);
  std::atomic<int64_t> now_ms = 0;
  TestServer::Options options;
  options.puppet = true;
  options.engine.max_trajectories = 100;
  options.engine.max_resident_trajectories = 2;
  options.engine.metrics = &metrics;
  options.server.now = [&now_ms] { return absl::UnixEpoch() + absl::Milliseconds(now_ms.load()); };
  TestServer server(options);
  const auto front = StartBefore(server, [&metrics] { return metrics.Work(); });
  EXPECT_EQ(StateOf(*front)["residentTrajectoriesLimit"], 2) << "before anybody has drawn";
  now_ms = 1500;

  const HttpPeer peer(front->port());
  const std::string request = R"({"count": 3, "className": "sneaker"})";
  peer.Send(absl::StrCat("POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
                         "Accept: text/event-stream\r\nContent-Length: ", request.size(),
                         "\r\n\r\n", request));
  // Of three images two may be drawn at once; guided, each takes two network passes.
  server.executor().AwaitStep();
  server.executor().Release();
  peer.ReadUntil("event: progress");
  EXPECT_EQ(StateOf(*front), Json::parse(R"({"uptimeSeconds": 1.5, "waitingTrajectories": 1,
                            "residentTrajectories": 2, "residentTrajectoriesLimit": 2,
                            "trajectoriesLimit": 100, "workers": 2, "workersUp": 1,
                            "stepBatches": 1, "networkPasses": 4, "models": [
                              {"model": "clothes", "stepBatches": 1, "networkPasses": 4}]})"));

  // Five steps: two images side by side, then one.
  server.executor().ReleaseAll();
  peer.ReadToEnd();
  const Json end = StateOf(*front);
  EXPECT_EQ(end["waitingTrajectories"], 0);
  EXPECT_EQ(end["residentTrajectories"], 0);
  EXPECT_EQ(end["stepBatches"], 10);
  EXPECT_EQ(end["networkPasses"], 30);
}

TEST(ServerStateTest, AddsUpTheModels) {
  const WorkState work = {.models = {{"bags", {.step_batches = 1, .network_passes = 8}},
                                     {"shoes", {.step_batches = 2, .network_passes = 3}}}};
  const Json state = ServerStateJson(work, {}, absl::ZeroDuration());
  EXPECT_EQ(state["stepBatches"], 3);
  EXPECT_EQ(state["networkPasses"], 11);
  EXPECT_EQ(state["models"][1]["model"], "shoes");
}

// A page asks every second: what is as it should be is counted alone.
TEST(ServerStateTest, ItsAnswersHaveNoLineAndItsRefusalsDo) {
  SecuredServer secured({.list = AccessJson({IdentityJson("web", "generate", "draws"),
                                             IdentityJson("reader", "read", "reads")})});
  TestServer& server = secured.server();
  const auto front = StartBefore(server, [] { return WorkState(); });
  const size_t before = server.log().size();
  EXPECT_THAT(AskForState(*front, "Authorization: Bearer reads\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("GET /v1/state OK"));
  EXPECT_EQ(server.log().size(), before);

  EXPECT_THAT(AskForState(*front), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(AskForState(*front, "Authorization: Bearer guessed\r\n"), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(AskForState(*front, "Authorization: Bearer draws\r\n"), StartsWith("HTTP/1.1 403"));
  ASSERT_THAT(server.metrics().AwaitFinished(4),
              ElementsAre("GET /v1/state OK", "GET /v1/state UNAUTHENTICATED",
                          "GET /v1/state UNAUTHENTICATED", "GET /v1/state PERMISSION_DENIED"));
  EXPECT_THAT(server.AwaitLog(before + 3).back(), HasSubstr("method=\"GET /v1/state\""));
}

TEST(ServerStateTest, IsNotThereWhereNobodyKnowsIt) {
  TestServer server;
  const auto front = StartBefore(server, nullptr);
  EXPECT_THAT(AskForState(*front), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(server.metrics().finished(), IsEmpty());
}

}  // namespace
}  // namespace diffusiond
