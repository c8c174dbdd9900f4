#include "client/diffusion_client.h"

#include <memory>
#include <string>
#include <vector>

#include "client/rpc_error.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<DiffusionClient> ConnectTo(const FakeDiffusionServer& server) {
  return DiffusionClient::Connect(server.target(), {}).value();
}

// The status of Generate against a server that plays `events`.
absl::Status StatusOfStream(std::vector<v1::GenerateEvent> events) {
  const FakeDiffusionServer server({.events = std::move(events)});
  return ConnectTo(server)->Generate({}, {}).status();
}

grpc::Status BadRequestStatus(const std::string& message) {
  google::rpc::BadRequest bad_request;
  const auto add = [&bad_request](const char* field, const char* description) {
    auto* violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description(description);
  };
  add("steps", "5000 is not in 1 .. 1000");
  add("eta", "2 is not in 0 .. 1");
  google::rpc::Status details;
  details.set_code(3);
  details.add_details()->PackFrom(bad_request);
  return {grpc::StatusCode::INVALID_ARGUMENT, message, details.SerializeAsString()};
}

TEST(DiffusionClientTest, ReportsEventsInOrderAndReturnsTheReceipt) {
  const FakeDiffusionServer server({.events = TinyStream(1, 2)});
  std::vector<std::string> heard;
  GenerateCallbacks callbacks;
  callbacks.on_accepted = [&](const v1::Accepted& accepted) {
    heard.push_back("accepted " + accepted.request_id());
  };
  callbacks.on_progress = [&](const v1::Progress& progress) {
    heard.push_back("progress " + std::to_string(progress.steps_done()));
  };
  callbacks.on_preview = [&](const v1::Preview& preview) {
    heard.push_back("preview " + std::to_string(preview.steps_done()));
  };
  callbacks.on_image = [&](const v1::Image&) { heard.push_back("image"); };
  v1::GenerateRequest request;
  request.set_class_name("dot");

  const auto completed = ConnectTo(server)->Generate(request, callbacks);

  ASSERT_TRUE(completed.ok()) << completed.status();
  EXPECT_EQ(completed->receipt().request_id(), "request-1");
  EXPECT_EQ(completed->receipt().image_sha256_size(), 1);
  EXPECT_THAT(heard, ElementsAre("accepted request-1", "progress 1", "preview 1", "preview 1",
                                 "progress 2", "preview 2", "preview 2", "image"));
  EXPECT_EQ(server.last_request()->class_name(), "dot");
}

TEST(DiffusionClientTest, RefusesAnImageWhoseBytesAreNotTheAnnouncedOnes) {
  auto events = TinyStream(2, 1);
  v1::GenerateEvent& image = events[events.size() - 2];
  image.mutable_image()->mutable_data()->back() ^= 1;

  const absl::Status status = StatusOfStream(events);

  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("image 1"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(image.image().sha256()));
}

TEST(DiffusionClientTest, CallsNobodyBackAfterAViolation) {
  auto events = TinyStream(1, 3);
  events[1].mutable_progress()->set_steps_done(9);
  const FakeDiffusionServer server({.events = events});
  int previews = 0;
  GenerateCallbacks callbacks;
  callbacks.on_preview = [&](const v1::Preview&) { ++previews; };
  EXPECT_FALSE(ConnectTo(server)->Generate({}, callbacks).ok());
  EXPECT_EQ(previews, 0);
}

TEST(DiffusionClientTest, RefusesAStreamThatEndsWithoutCompleted) {
  auto events = TinyStream(1, 1);
  events.pop_back();
  const absl::Status status = StatusOfStream(events);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("without Completed"));
}

TEST(DiffusionClientTest, FoldsBadRequestIntoOneLineAField) {
  const FakeDiffusionServer server({.status = BadRequestStatus("no")});
  const absl::Status status = ConnectTo(server)->Generate({}, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "no\n  steps: 5000 is not in 1 .. 1000\n  eta: 2 is not in 0 .. 1");
  ASSERT_EQ(BadRequestOf(status).field_violations_size(), 2);
  EXPECT_EQ(BadRequestOf(status).field_violations(1).field(), "eta");
}

TEST(DiffusionClientTest, DoesNotSayTwiceWhatTheMessageRepeats) {
  const FakeDiffusionServer server(
      {.status = BadRequestStatus("steps: 5000 is not in 1 .. 1000; eta: 2 is not in 0 .. 1")});
  const absl::Status status = ConnectTo(server)->Generate({}, {}).status();
  EXPECT_EQ(status.message(),
            "2 fields of the request are wrong\n  steps: 5000 is not in 1 .. 1000\n"
            "  eta: 2 is not in 0 .. 1");
}

TEST(DiffusionClientTest, TellsWhenToTryAgain) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  google::rpc::Status details;
  details.add_details()->PackFrom(retry);
  const FakeDiffusionServer server(
      {.status = {grpc::StatusCode::RESOURCE_EXHAUSTED, "full", details.SerializeAsString()}});
  const absl::Status status = ConnectTo(server)->GenerateImages({}).status();
  EXPECT_EQ(status.message(), "full\n  try again in 2s");
  EXPECT_EQ(RetryDelayOf(status), absl::Seconds(2));
}

TEST(DiffusionClientTest, NamesTheAddressWhenNobodyListens) {
  // Port 1 of loopback: reserved, and nothing of ours.
  const auto client = DiffusionClient::Connect("127.0.0.1:1", {}).value();
  const absl::Status status = client->ListModels().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(IsUnreachable(status));
  EXPECT_EQ(status.message(), "cannot reach a server at 127.0.0.1:1: Connection refused");
}

TEST(DiffusionClientTest, RefusesAnEmptyAddress) {
  EXPECT_EQ(DiffusionClient::Connect("", {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(DiffusionClientTest, CancellationEndsTheCallHereAndOnTheServer) {
  auto events = TinyStream(1, 1);
  events.resize(2);
  const FakeDiffusionServer server({.events = events, .wait_for_cancel = true});
  const auto cancellation = Cancellation::Create().value();
  GenerateCallbacks callbacks;
  callbacks.on_progress = [&](const v1::Progress&) { cancellation->Cancel(); };
  const absl::Status status =
      ConnectTo(server)->Generate({}, callbacks, {.cancellation = cancellation.get()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST(DiffusionClientTest, ACallBegunAfterCancellationEndsAtOnce) {
  const FakeDiffusionServer server({.wait_for_cancel = true});
  const auto cancellation = Cancellation::Create().value();
  cancellation->Cancel();
  const absl::Status status =
      ConnectTo(server)->Generate({}, {}, {.cancellation = cancellation.get()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST(DiffusionClientTest, TheDeadlineEndsTheCall) {
  const FakeDiffusionServer server({.wait_for_cancel = true});
  const absl::Status status =
      ConnectTo(server)->Generate({}, {}, {.timeout = absl::Milliseconds(20)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "not finished within 20ms by the server at " + server.target());
}

TEST(DiffusionClientTest, TheServersReasonStandsBehindTheDeadline) {
  const FakeDiffusionServer server({.status = {grpc::StatusCode::DEADLINE_EXCEEDED, "too many"}});
  const absl::Status status =
      ConnectTo(server)->Generate({}, {}, {.timeout = absl::Hours(1)}).status();
  EXPECT_EQ(status.message(), "not finished within 1h: too many");
}

TEST(DiffusionClientTest, SaysWhatMakesARequestTooLarge) {
  const FakeDiffusionServer server({});  // With gRPC's own limit.
  v1::GenerateRequest request;
  request.set_init_image(std::string(5 << 20, 'x'));
  const absl::Status status = ConnectTo(server)->Generate(request, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("vs. 4194304"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max_request_bytes"));
}

TEST(DiffusionClientTest, RefusesATenantThatMetadataCannotCarry) {
  const FakeDiffusionServer server({.models = {TinyModel()}});
  const auto client = ConnectTo(server);
  const CallOptions options = {.tenant = "h\xc3\xa4ns"};
  for (const absl::Status& status :
       {client->Generate({}, {}, options).status(), client->GenerateImages({}, options).status(),
        client->ListModels(options).status(), client->GetModel("", options).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  }
}

TEST(DiffusionClientTest, GenerateImagesChecksImagesAgainstTheReceipt) {
  v1::GenerateImagesResponse response;
  for (const v1::GenerateEvent& event : TinyStream(2, 1)) {
    if (event.has_image()) *response.add_images() = event.image();
    if (event.has_completed()) *response.mutable_receipt() = event.completed().receipt();
  }
  {
    const FakeDiffusionServer server({.images = response});
    EXPECT_TRUE(ConnectTo(server)->GenerateImages({}).ok());
  }
  response.mutable_receipt()->set_image_sha256(1, "00");
  const FakeDiffusionServer server({.images = response});
  const absl::Status status = ConnectTo(server)->GenerateImages({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("for image 1"));
}

TEST(DiffusionClientTest, ListsAndDescribesModels) {
  const FakeDiffusionServer server({.models = {TinyModel()}});
  const auto client = ConnectTo(server);
  EXPECT_EQ(client->ListModels()->models_size(), 1);
  EXPECT_EQ(client->GetModel("tiny")->num_train_timesteps(), 1000u);
  EXPECT_EQ(client->GetModel("huge").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace diffusiond
