#include "model/training/metrics/training_metrics.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/free_port.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(TrainingMetricsTest, IdleConnectionsStopNoScrape) {
  const int port = FreePort();
  const auto metrics = ServeTrainingMetrics(port);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  (*metrics)->OnSave(7, /*ok=*/true);
  std::vector<std::unique_ptr<HttpPeer>> idle;
  for (int i = 0; i < 200; ++i) idle.push_back(std::make_unique<HttpPeer>(port));
  const std::string answer = HttpAnswer(port, "GET", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("\ndiffusion_train_saved_step 7\n"));
}

TEST(TrainingMetricsTest, SaysThatAPortIsTaken) {
  const int port = FreePort();
  const auto first = ServeTrainingMetrics(port);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status status = ServeTrainingMetrics(port).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("--metrics_port: ")));
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(":", port)));
}

}  // namespace
}  // namespace diffusiond
