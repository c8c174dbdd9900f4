#include "server/metrics/server_metrics.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ServerMetricsTest : public ::testing::Test {
 protected:
  // What a scrape shows.
  std::string Text() const { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  // Whether a scrape has this line, for example `diffusiond_previews_sent_total 2`.
  void ExpectLine(const std::string& line) const {
    EXPECT_THAT("\n" + Text(), HasSubstr("\n" + line + "\n"));
  }

  prometheus::Registry registry_;
  ServerMetrics metrics_{&registry_, "1.2.3"};
};

TEST_F(ServerMetricsTest, DescribesBuildAndModels) {
  metrics_.ModelLoaded("fashion", "abcd", "cuda:0", 32);
  ExpectLine("diffusiond_build_info{version=\"1.2.3\"} 1");
  ExpectLine(
      "diffusiond_model_info{device=\"cuda:0\",digest=\"abcd\",micro_batch=\"32\","
      "model=\"fashion\"} 1");
}

TEST_F(ServerMetricsTest, HasItsSeriesBeforeTheFirstEvent) {
  metrics_.ModelLoaded("fashion", "abcd", "cpu", 4);
  for (const char* line :
       {"diffusiond_cancellations_total{reason=\"client\"} 0",
        "diffusiond_refusals_total{reason=\"queue_full\"} 0", "diffusiond_previews_sent_total 0",
        "diffusiond_network_calls_total{model=\"fashion\"} 0",
        "diffusiond_step_duration_seconds_count{model=\"fashion\"} 0",
        "diffusiond_waiting_trajectories 0"}) {
    ExpectLine(line);
  }
}

TEST_F(ServerMetricsTest, CountsRequests) {
  metrics_.RequestStarted("Generate");
  metrics_.RequestStarted("Generate");
  ExpectLine("diffusiond_requests_in_flight{method=\"Generate\"} 2");
  metrics_.RequestFinished("Generate", "OK", absl::Milliseconds(30));
  metrics_.RequestFinished("Generate", "CANCELLED", absl::Seconds(3));
  ExpectLine("diffusiond_requests_in_flight{method=\"Generate\"} 0");
  ExpectLine("diffusiond_requests_total{code=\"OK\",method=\"Generate\"} 1");
  ExpectLine("diffusiond_requests_total{code=\"CANCELLED\",method=\"Generate\"} 1");
  ExpectLine("diffusiond_request_duration_seconds_count{method=\"Generate\"} 2");
  ExpectLine("diffusiond_request_duration_seconds_sum{method=\"Generate\"} 3.03");
  ExpectLine("diffusiond_request_duration_seconds_bucket{method=\"Generate\",le=\"0.05\"} 1");
}

TEST_F(ServerMetricsTest, CountsWhatIsSent) {
  metrics_.PreviewSent();
  metrics_.PreviewSent();
  metrics_.PreviewDropped();
  metrics_.FirstPreview(absl::Milliseconds(200));
  metrics_.ImageSent("png", 700);
  metrics_.ImageSent("png", 300);
  metrics_.ImageSent("webp", 50);
  ExpectLine("diffusiond_previews_sent_total 2");
  ExpectLine("diffusiond_previews_dropped_total 1");
  ExpectLine("diffusiond_first_preview_seconds_sum 0.2");
  ExpectLine("diffusiond_images_total{format=\"png\"} 2");
  ExpectLine("diffusiond_image_bytes_total{format=\"png\"} 1000");
  ExpectLine("diffusiond_images_total{format=\"webp\"} 1");
}

TEST_F(ServerMetricsTest, ShowsTheQueue) {
  metrics_.OnQueueDepth(7, 3);
  metrics_.OnFirstStep(absl::Milliseconds(40));
  ExpectLine("diffusiond_waiting_trajectories 7");
  ExpectLine("diffusiond_resident_trajectories 3");
  ExpectLine("diffusiond_queue_wait_seconds_sum 0.04");
}

TEST_F(ServerMetricsTest, CutsStepBatchesIntoNetworkCalls) {
  // 8 + 2, the second padded by 6; then 8 + 8.
  metrics_.OnStepBatch("m", 10, 8, absl::Milliseconds(20));
  metrics_.OnStepBatch("m", 16, 8, absl::Milliseconds(30));
  ExpectLine("diffusiond_network_calls_total{model=\"m\"} 4");
  ExpectLine("diffusiond_network_rows_total{model=\"m\"} 26");
  ExpectLine("diffusiond_network_padding_rows_total{model=\"m\"} 6");
  ExpectLine("diffusiond_network_call_rows_bucket{model=\"m\",le=\"2\"} 1");
  ExpectLine("diffusiond_network_call_rows_count{model=\"m\"} 4");
  ExpectLine("diffusiond_network_call_rows_sum{model=\"m\"} 26");
  ExpectLine("diffusiond_step_duration_seconds_count{model=\"m\"} 2");
  ExpectLine("diffusiond_step_duration_seconds_sum{model=\"m\"} 0.05");
  metrics_.OnDeviceFailure("m");
  ExpectLine("diffusiond_device_failures_total{model=\"m\"} 1");
}

TEST_F(ServerMetricsTest, NamesWhyGenerationsEnded) {
  metrics_.OnGenerationFinished(absl::OkStatus());
  metrics_.OnGenerationFinished(absl::CancelledError("x"));
  metrics_.OnGenerationFinished(absl::DeadlineExceededError("x"));
  metrics_.OnGenerationFinished(absl::UnavailableError("x"));
  metrics_.OnGenerationFinished(absl::InternalError("x"));
  for (const char* reason : {"client", "deadline", "shutdown", "failure"}) {
    ExpectLine(std::string("diffusiond_cancellations_total{reason=\"") + reason + "\"} 1");
  }
}

TEST_F(ServerMetricsTest, NamesWhyGenerationsWereRefused) {
  metrics_.OnRefused(absl::ResourceExhaustedError("x"));
  metrics_.OnRefused(absl::DeadlineExceededError("x"));
  metrics_.OnRefused(absl::UnavailableError("x"));
  metrics_.OnRefused(absl::InvalidArgumentError("x"));
  for (const char* reason : {"queue_full", "deadline", "draining", "invalid"}) {
    ExpectLine(std::string("diffusiond_refusals_total{reason=\"") + reason + "\"} 1");
  }
}

}  // namespace
}  // namespace diffusiond
