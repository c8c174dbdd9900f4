#include "server/metrics/metrics_server.h"

#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/server_metrics.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class MetricsServerTest : public ::testing::Test {
 protected:
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  ServerMetrics metrics_{registry_.get(), "1.2.3"};
};

TEST_F(MetricsServerTest, ServesTheRegistry) {
  auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string answer = HttpAnswer((*server)->port(), "GET", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("diffusiond_build_info{version=\"1.2.3\"} 1"));
}

TEST_F(MetricsServerTest, IdleConnectionsStopNoScrape) {
  auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  std::vector<std::unique_ptr<HttpPeer>> idle;
  for (int i = 0; i < 200; ++i) {
    idle.push_back(std::make_unique<HttpPeer>((*server)->port()));
  }
  EXPECT_THAT(HttpAnswer((*server)->port(), "GET", "/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(MetricsServerTest, AnswersHead) {
  auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT(HttpAnswer((*server)->port(), "HEAD", "/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(MetricsServerTest, SaysThatAnAddressIsTaken) {
  auto first = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(first.ok());
  const std::string taken = absl::StrCat("127.0.0.1:", (*first)->port());
  const absl::Status status = MetricsServer::Start(taken, registry_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(taken));
}

TEST_F(MetricsServerTest, RefusesWhatIsNoAddress) {
  const absl::Status status = MetricsServer::Start("9464", registry_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'9464'"));
}

TEST_F(MetricsServerTest, PromtoolHasNothingToSay) {
  if (system("command -v promtool > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool (Debian package prometheus) is not in PATH";
  }
  // Every series that can exist.
  metrics_.ModelLoaded("m", 0, "abcd", "cpu", 4);
  metrics_.RequestStarted("Generate");
  metrics_.RequestFinished("Generate", "OK", absl::Seconds(1));
  metrics_.ImageSent("png", 1);
  metrics_.OnStep(
      {.model = "m", .passes = 3, .micro_batch = 4, .capacity = 8, .duration = absl::Seconds(1)});
  metrics_.WorkerUp("cpu", true);

  auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string answer = HttpAnswer((*server)->port(), "GET", "/metrics");
  const std::string stem = absl::StrCat(::testing::TempDir(), "/promtool_", getpid());
  std::ofstream(stem + ".in") << answer.substr(answer.find("\r\n\r\n") + 4);
  const int rc =
      system(absl::StrCat("promtool check metrics < ", stem, ".in > ", stem, ".out 2>&1").c_str());
  std::stringstream said;
  said << std::ifstream(stem + ".out").rdbuf();
  EXPECT_EQ(rc, 0);
  EXPECT_THAT(said.str(), IsEmpty());
  unlink((stem + ".in").c_str());
  unlink((stem + ".out").c_str());
}

}  // namespace
}  // namespace diffusiond
