#include "server/metrics/server_metrics.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/engine/refusal.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

EngineMetrics::GenerationEnd Ended(absl::Status status) {
  return {.status = std::move(status), .duration = {}, .predicted = std::nullopt};
}

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
  metrics_.ModelLoaded("fashion", 3, "abcd", "cuda:0", 32);
  ExpectLine("diffusiond_build_info{version=\"1.2.3\"} 1");
  ExpectLine(
      "diffusiond_model_info{device=\"cuda:0\",digest=\"abcd\",micro_batch=\"32\","
      "model=\"fashion\",version=\"3\"} 1");
}

TEST_F(ServerMetricsTest, FollowsTheVersionsOfAModel) {
  metrics_.ModelLoaded("mine", 1, "abcd", "cpu", 4);
  metrics_.ModelServed("mine", 1, /*swapped=*/false);
  ExpectLine("diffusiond_model_swaps_total{model=\"mine\"} 0");
  ExpectLine("diffusiond_model_versions_refused_total{model=\"mine\"} 0");
  metrics_.ModelLoaded("mine", 2, "ef01", "cpu", 4);
  metrics_.ModelLoadTook("mine", absl::Seconds(2));
  metrics_.ModelServed("mine", 2, /*swapped=*/true);
  metrics_.VersionsLoaded("mine", 2);
  metrics_.ModelRefused("mine");
  ExpectLine("diffusiond_model_swaps_total{model=\"mine\"} 1");
  ExpectLine("diffusiond_model_version{model=\"mine\"} 2");
  ExpectLine("diffusiond_model_versions_loaded{model=\"mine\"} 2");
  ExpectLine("diffusiond_model_versions_refused_total{model=\"mine\"} 1");
  ExpectLine("diffusiond_model_load_seconds_sum{model=\"mine\"} 2");
  metrics_.ModelLoaded("mine", 2, "ef01", "cpu", 4);  // Its files were touched.
  metrics_.ModelUnloaded("mine", 2, "ef01", "cpu", 4);
  metrics_.ModelUnloaded("mine", 1, "abcd", "cpu", 4);
  EXPECT_THAT(Text(), Not(HasSubstr("abcd")));
  EXPECT_THAT(Text(), HasSubstr("ef01"));
}

TEST_F(ServerMetricsTest, CountsStepsOfAllVersionsOfAModelAsOne) {
  for (const char* key : {"mine/1", "mine/2~1"}) {
    metrics_.ModelKeyed(key, "mine");
    metrics_.OnDeviceFailure(key);
  }
  metrics_.OnDeviceFailure("mine");
  ExpectLine("diffusiond_device_failures_total{model=\"mine\"} 3");
  metrics_.KeyForgotten("mine/1");
  metrics_.OnDeviceFailure("mine/1");
  ExpectLine("diffusiond_device_failures_total{model=\"mine\"} 4");
  // Back again, it does not go with those that went after it did.
  metrics_.ModelKeyed("mine/1", "mine");
  for (size_t i = 0; i <= ServerMetrics::kRememberedKeys; ++i) {
    metrics_.KeyForgotten(absl::StrCat("other/", i));
  }
  metrics_.OnDeviceFailure("mine/1");
  ExpectLine("diffusiond_device_failures_total{model=\"mine\"} 5");
}

TEST_F(ServerMetricsTest, TellsWhichModelsAreNotServed) {
  metrics_.ModelUnserved("mine");
  metrics_.ModelUnserved("docs");
  ExpectLine("diffusiond_model_unserved{model=\"mine\"} 1");
  metrics_.ModelServed("mine", 1, /*swapped=*/false);
  ExpectLine("diffusiond_model_unserved{model=\"mine\"} 0");
  metrics_.ModelForgotten("docs");
  EXPECT_THAT(Text(), Not(HasSubstr("docs")));
}

TEST_F(ServerMetricsTest, HasItsSeriesBeforeTheFirstEvent) {
  metrics_.ModelLoaded("fashion", 3, "abcd", "cpu", 4);
  for (const char* line :
       {"diffusiond_cancellations_total{reason=\"client\"} 0",
        "diffusiond_refusals_total{reason=\"queue_full\"} 0",
        "diffusiond_refusals_total{reason=\"identity\"} 0", "diffusiond_previews_sent_total 0",
        "diffusiond_network_calls_total{model=\"fashion\"} 0",
        "diffusiond_step_duration_seconds_count{model=\"fashion\"} 0",
        "diffusiond_waiting_trajectories 0"}) {
    ExpectLine(line);
  }
}

TEST_F(ServerMetricsTest, HasTheFailuresOfAMethodThatIsServed) {
  metrics_.MethodServed("POST /v1/generate");
  for (const char* method : {"Generate", "GetModel", "POST /v1/generate"}) {
    for (const char* code : {"INTERNAL", "UNKNOWN", "DATA_LOSS"}) {
      ExpectLine(
          absl::StrCat("diffusiond_requests_total{code=\"", code, "\",method=\"", method, "\"} 0"));
    }
  }
}

TEST_F(ServerMetricsTest, CountsConnectionsAndTheirCalls) {
  ExpectLine("diffusiond_calls_refused_total{limit=\"max_calls\"} 0");
  metrics_.OpenConnections(3, 70);
  metrics_.ConnectionEvicted();
  metrics_.CallRefused("max_calls_per_address");
  ExpectLine("diffusiond_connections 3");
  ExpectLine("diffusiond_open_calls 70");
  ExpectLine("diffusiond_connections_evicted_total 1");
  ExpectLine("diffusiond_calls_refused_total{limit=\"max_calls_per_address\"} 1");
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
  metrics_.PreviewsDropped(1);
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

TEST_F(ServerMetricsTest, CountsLogLinesThatWereLeftOut) {
  ExpectLine("diffusiond_log_lines_left_out_total{code=\"gRPC\"} 0");
  metrics_.LogLineLeftOut("gRPC");
  metrics_.LogLineLeftOut("NOT_FOUND");
  ExpectLine("diffusiond_log_lines_left_out_total{code=\"gRPC\"} 1");
  ExpectLine("diffusiond_log_lines_left_out_total{code=\"NOT_FOUND\"} 1");
}

TEST_F(ServerMetricsTest, ShowsTheQueue) {
  metrics_.OnQueueDepth({.waiting = 7, .resident = 3, .resident_limit = 128});
  metrics_.OnFirstStep(
      {.priority = Priority::kHigh, .queue_wait = absl::Milliseconds(40), .delay_steps = 2});
  metrics_.OnFirstStep(
      {.priority = Priority::kLow, .queue_wait = absl::Milliseconds(60), .delay_steps = 5});
  ExpectLine("diffusiond_waiting_trajectories 7");
  ExpectLine("diffusiond_resident_trajectories 3");
  ExpectLine("diffusiond_resident_trajectories_limit 128");
  ExpectLine("diffusiond_queue_wait_seconds_sum{priority=\"high\"} 0.04");
  ExpectLine("diffusiond_queue_wait_seconds_sum{priority=\"low\"} 0.06");
  ExpectLine("diffusiond_queue_wait_seconds_count{priority=\"normal\"} 0");
  ExpectLine("diffusiond_admission_delay_steps_sum 7");
  ExpectLine("diffusiond_admission_delay_steps_bucket{le=\"2\"} 1");
}

TEST_F(ServerMetricsTest, ShowsWhatSchedulingDid) {
  metrics_.OnPreemptions(3);
  metrics_.OnPreemptions(1);
  metrics_.OnMigrations(2);
  metrics_.OnReleased(0);
  metrics_.OnReleased(1);
  ExpectLine("diffusiond_release_delay_steps_sum 1");
  ExpectLine("diffusiond_release_delay_steps_count 2");
  ExpectLine("diffusiond_preemptions_total 4");
  ExpectLine("diffusiond_migrations_total 2");
}

TEST_F(ServerMetricsTest, ShowsWorkers) {
  metrics_.WorkerUp("cpu", true);
  metrics_.WorkerUp("cuda:0", false);
  metrics_.WorkerRestarted("cuda:0");
  ExpectLine("diffusiond_worker_up{worker=\"cpu\"} 1");
  ExpectLine("diffusiond_worker_up{worker=\"cuda:0\"} 0");
  ExpectLine("diffusiond_worker_restarts_total{worker=\"cpu\"} 0");
  ExpectLine("diffusiond_worker_restarts_total{worker=\"cuda:0\"} 1");
}

TEST_F(ServerMetricsTest, ComparesFinishWithPredictionAndDeadline) {
  metrics_.OnGenerationFinished({.status = absl::OkStatus(),
                                 .had_deadline = true,
                                 .duration = absl::Seconds(3),
                                 .predicted = absl::Seconds(2)});
  metrics_.OnGenerationFinished({.status = absl::DeadlineExceededError("x"),
                                 .had_deadline = true,
                                 .duration = absl::Seconds(9),
                                 .predicted = absl::Seconds(2)});
  metrics_.OnGenerationFinished(
      {.status = absl::OkStatus(), .duration = absl::Seconds(1), .predicted = std::nullopt});
  ExpectLine("diffusiond_finish_prediction_ratio_count 1");
  ExpectLine("diffusiond_finish_prediction_ratio_sum 1.5");
  ExpectLine("diffusiond_deadline_misses_total 1");
}

TEST_F(ServerMetricsTest, WithoutMicroBatchAStepIsOneNetworkCall) {
  metrics_.OnStep({.model = "m",
                   .passes = 5,
                   .micro_batch = 0,
                   .capacity = 8,
                   .duration = absl::Milliseconds(20)});
  ExpectLine("diffusiond_network_calls_total{model=\"m\"} 1");
  ExpectLine("diffusiond_network_passes_total{model=\"m\"} 5");
  ExpectLine("diffusiond_network_padding_passes_total{model=\"m\"} 0");
  ExpectLine("diffusiond_network_call_passes_sum{model=\"m\"} 5");
}

TEST_F(ServerMetricsTest, CutsStepBatchesIntoNetworkCalls) {
  // 8 + 2, the second padded by 6; then 8 + 8.
  metrics_.OnStep({.model = "m",
                   .passes = 10,
                   .micro_batch = 8,
                   .capacity = 16,
                   .duration = absl::Milliseconds(20)});
  metrics_.OnStep({.model = "m",
                   .passes = 16,
                   .micro_batch = 8,
                   .capacity = 16,
                   .duration = absl::Milliseconds(30),
                   .overhead = absl::Milliseconds(250)});
  ExpectLine("diffusiond_network_calls_total{model=\"m\"} 4");
  ExpectLine("diffusiond_network_passes_total{model=\"m\"} 26");
  ExpectLine("diffusiond_network_padding_passes_total{model=\"m\"} 6");
  ExpectLine("diffusiond_network_call_passes_bucket{model=\"m\",le=\"2\"} 1");
  ExpectLine("diffusiond_network_call_passes_count{model=\"m\"} 4");
  ExpectLine("diffusiond_network_call_passes_sum{model=\"m\"} 26");
  ExpectLine("diffusiond_step_duration_seconds_count{model=\"m\"} 2");
  ExpectLine("diffusiond_step_duration_seconds_sum{model=\"m\"} 0.05");
  ExpectLine("diffusiond_batch_occupancy_ratio_sum{model=\"m\"} 1.625");
  ExpectLine("diffusiond_batch_occupancy_ratio_bucket{model=\"m\",le=\"0.7\"} 1");
  ExpectLine("diffusiond_step_overhead_seconds_total{model=\"m\"} 0.25");
  metrics_.OnDeviceFailure("m");
  ExpectLine("diffusiond_device_failures_total{model=\"m\"} 1");
}

TEST_F(ServerMetricsTest, NamesWhyGenerationsEnded) {
  metrics_.OnGenerationFinished(Ended(absl::OkStatus()));
  metrics_.OnGenerationFinished(Ended(absl::CancelledError("x")));
  metrics_.OnGenerationFinished(Ended(absl::DeadlineExceededError("x")));
  metrics_.OnGenerationFinished(Ended(absl::UnavailableError("x")));
  metrics_.OnGenerationFinished(Ended(absl::InternalError("x")));
  for (const char* reason : {"client", "deadline", "shutdown", "failure"}) {
    ExpectLine(std::string("diffusiond_cancellations_total{reason=\"") + reason + "\"} 1");
  }
}

TEST_F(ServerMetricsTest, NamesWhyGenerationsWereRefused) {
  metrics_.OnRefused(absl::ResourceExhaustedError("x"));
  metrics_.OnRefused(absl::DeadlineExceededError("x"));
  metrics_.OnRefused(absl::UnavailableError("x"));
  metrics_.OnRefused(absl::InvalidArgumentError("x"));
  ExpectLine("diffusiond_refusals_total{reason=\"deadline\"} 1");
  metrics_.OnRefused(Refusal(RefusalReason::kQueueFull, "x", absl::Seconds(1)));
  metrics_.OnRefused(Refusal(RefusalReason::kDeadline, "x", absl::Seconds(1)));
  metrics_.OnRefused(Refusal(RefusalReason::kOverShare, "x", absl::Seconds(1)));
  ExpectLine("diffusiond_refusals_total{reason=\"over_share\"} 1");
  metrics_.OnRefused(absl::UnavailableError("x"));
  metrics_.OnRefused(absl::InvalidArgumentError("x"));
  for (const char* reason : {"queue_full", "deadline", "draining", "invalid"}) {
    ExpectLine(std::string("diffusiond_refusals_total{reason=\"") + reason + "\"} 2");
  }
}

}  // namespace
}  // namespace diffusiond
