// Pictures of requests are read away from the threads that answer calls, in turn.
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "model/imaging/png.h"
#include "server/rpc/submission.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::GenerateRequest WithPicture(uint64_t seed) {
  v1::GenerateRequest request;
  request.set_seed(seed);
  request.set_init_image(
      EncodePng({.width = 2, .height = 2, .channels = 1, .pixels = {0, 51, 204, 255}}).value());
  return request;
}

// A server whose decoder thread stands still with the first request that has a picture.
class HeldDecoder {
 public:
  explicit HeldDecoder(DecoderPool::Options decoders)
      : server_([&] {
          TestServer::Options options;
          options.server.decoders = decoders;
          options.models = {Model()};
          return options;
        }()) {
    first_ = server_.stub().Generate(&first_context_, WithPicture(1));
    reached_.WaitForNotification();
  }
  ~HeldDecoder() { Release(); }

  TestServer& server() { return server_; }
  // The first request goes on; its status.
  grpc::Status Finish() {
    Release();
    v1::GenerateEvent event;
    while (first_->Read(&event)) {
    }
    return first_->Finish();
  }

 private:
  // Its plans take as long as the test likes.
  ServedModel Model() {
    ServedModel model = TestModel();
    model.plans =
        std::make_shared<PlanCache>([this, usual = model.plans](const SamplingOptions& options) {
          if (!reached_.HasBeenNotified()) reached_.Notify();
          released_.WaitForNotification();
          return absl::StatusOr<SamplingPlan>(**usual->Get(options));
        });
    return model;
  }
  void Release() {
    if (!released_.HasBeenNotified()) released_.Notify();
  }

  absl::Notification reached_, released_;
  TestServer server_;
  grpc::ClientContext first_context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> first_;
};

TEST(PictureTurns, OtherCallsAreAnsweredMeanwhile) {
  HeldDecoder held({});
  grpc::ClientContext context;
  v1::ListModelsResponse models;
  EXPECT_TRUE(held.server().stub().ListModels(&context, {}, &models).ok());
  EXPECT_TRUE(held.Finish().ok());
}

TEST(PictureTurns, MoreThanMayWaitAreRefusedWithATime) {
  HeldDecoder held({.threads = 1, .max_queued = 1, .max_queued_per_address = 1});
  // Whichever comes first waits.
  grpc::Status ends[2];
  std::thread calls[2];
  for (int i = 0; i < 2; ++i) {
    calls[i] =
        std::thread([&held, end = &ends[i]] { held.server().Generate(WithPicture(2), end); });
  }
  EXPECT_THAT(held.server().metrics().AwaitFinished(1), ElementsAre("Generate RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(held.Finish().ok());
  for (std::thread& call : calls) call.join();
  const grpc::Status& refused = ends[0].ok() ? ends[1] : ends[0];
  EXPECT_TRUE((ends[0].ok() ? ends[0] : ends[1]).ok());
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("--max_queued_pictures"));
  EXPECT_GT(RetryInfoOf(refused).retry_delay().seconds(), 0);
}

TEST(PictureTurns, OneThatIsCancelledEndsAtOnce) {
  HeldDecoder held({});
  grpc::ClientContext waiting_context;
  const auto waiting = held.server().stub().Generate(&waiting_context, WithPicture(2));
  while (held.server().metrics().started() < 2) std::this_thread::yield();  // It has arrived.
  waiting_context.TryCancel();
  EXPECT_EQ(waiting->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_THAT(held.server().metrics().AwaitFinished(1), Contains("Generate CANCELLED"));
  EXPECT_TRUE(held.Finish().ok());
}

TEST(PictureTurns, ADrainWaitsForThem) {
  HeldDecoder held({});
  EXPECT_FALSE(held.server().server().Drain(absl::Now()));
  EXPECT_FALSE(held.Finish().ok()) << "the engine takes nothing any more";
}

// A call with bytes of the test's own in place of a request.
grpc::Status GenerateFrom(TestServer& server, const std::string& bytes) {
  grpc::GenericStub stub(server.server().InProcessChannel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer message(&slice, 1);
  const auto call = stub.PrepareUnaryCall(
      &context, "/diffusiond.v1.DiffusionService/GenerateImages", message, &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  return status;
}

TEST(PictureTurns, LargeRequestsAreParsedInTurnToo) {
  HeldDecoder held({.threads = 1, .max_queued = 1, .max_queued_per_address = 1});
  // Thousands of fields that nobody knows: number 3000, varint 0.
  std::string unknown;
  for (int i = 0; i < 3000; ++i) unknown += std::string("\xC0\xBB\x01\x00", 4);
  std::thread calls[2];
  for (std::thread& call : calls) {
    call = std::thread([&] { GenerateFrom(held.server(), unknown); });
  }
  EXPECT_THAT(held.server().metrics().AwaitFinished(1),
              ElementsAre("GenerateImages RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(held.Finish().ok());
  for (std::thread& call : calls) call.join();
}

TEST(PictureTurns, LongPlansAreCompiledInTurnToo) {
  HeldDecoder held({.threads = 1, .max_queued = 1, .max_queued_per_address = 1});
  v1::GenerateRequest request;
  request.mutable_sampling()->set_sampler("annealed_langevin");
  request.mutable_sampling()->set_steps(3);
  request.mutable_sampling()->set_langevin_steps(1000);
  grpc::Status ends[2];
  std::thread calls[2];
  for (int i = 0; i < 2; ++i) {
    calls[i] = std::thread([&, end = &ends[i]] { held.server().Generate(request, end); });
  }
  EXPECT_THAT(held.server().metrics().AwaitFinished(1), ElementsAre("Generate RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(held.Finish().ok());
  for (std::thread& call : calls) call.join();
  EXPECT_TRUE(ends[0].ok() || ends[1].ok());
}

TEST(PictureTurns, WhatALongPlanLeavesUnsetIsAsTheModelHasIt) {
  ModelCatalog catalog;
  catalog.Put(TestModel());
  ServiceContext context;
  context.catalog = &catalog;
  struct Case {
    const char* sampler;
    std::optional<uint32_t> steps, langevin_steps;
    bool is_dear;
  };
  for (const Case& plan : {
           Case{"ddim", {}, {}, false},
           Case{"ddim", 2001, {}, true},
           Case{"annealed_langevin", {}, {}, false},
           Case{"annealed_langevin", {}, 100, false},  // Of its 20 steps.
           Case{"annealed_langevin", {}, 101, true},
           Case{"annealed_langevin", 200, {}, false},  // With its 10 Langevin steps.
           Case{"annealed_langevin", 201, {}, true},
           Case{"predictor_corrector", {}, 101, true},
       }) {
    v1::GenerateRequest request;
    v1::SamplingOptions& sampling = *request.mutable_sampling();
    sampling.set_sampler(plan.sampler);
    if (plan.steps.has_value()) sampling.set_steps(*plan.steps);
    if (plan.langevin_steps.has_value()) sampling.set_langevin_steps(*plan.langevin_steps);
    EXPECT_EQ(IsDear(context, request), plan.is_dear) << request.ShortDebugString();
  }
}

TEST(PictureTurns, BytesThatAreNoRequestAreNamedSo) {
  TestServer server;
  for (const std::string& bytes : {std::string("\xFF"), std::string(10'000, '\xFF')}) {
    const grpc::Status status = GenerateFrom(server, bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("no diffusiond.v1.GenerateRequest"));
  }
}

}  // namespace
}  // namespace diffusiond
