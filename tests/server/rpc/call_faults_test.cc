// Clients that go away, are too slow or too many, and devices and encoders that fail.
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::GenerateRequest Images(uint32_t count, uint64_t seed, uint32_t steps = 5) {
  v1::GenerateRequest request;
  request.set_count(count);
  request.set_seed(seed);
  request.mutable_sampling()->set_steps(steps);
  return request;
}

TestServer::Options PuppetServer() {
  TestServer::Options options;
  options.puppet = true;
  options.executor.ledger = std::make_shared<RegisterLedger>();
  return options;
}

std::vector<uint64_t> SeedsOf(const std::vector<SeenTask>& rows) {
  std::vector<uint64_t> seeds;
  for (const SeenTask& task : rows) seeds.push_back(task.seed);
  return seeds;
}

TEST(Cancellation, OfAStreamFreesItsRowsAtTheNextStep) {
  TestServer server(PuppetServer());
  grpc::ClientContext leaving;
  const auto leaving_reader = server.stub().Generate(&leaving, Images(2, 1));
  v1::GenerateEvent event;
  ASSERT_TRUE(leaving_reader->Read(&event));
  EXPECT_THAT(SeedsOf(server.executor().AwaitStep()), ElementsAre(1, 1));

  grpc::ClientContext staying;
  const auto staying_reader = server.stub().Generate(&staying, Images(1, 2));
  ASSERT_TRUE(staying_reader->Read(&event));
  leaving.TryCancel();
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("Generate CANCELLED"));
  server.executor().Release();
  EXPECT_THAT(SeedsOf(server.executor().AwaitStep()), ElementsAre(2));

  server.executor().ReleaseAll();
  while (staying_reader->Read(&event)) {
  }
  EXPECT_TRUE(event.has_completed());
  EXPECT_TRUE(staying_reader->Finish().ok());
  EXPECT_EQ(leaving_reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Cancellation, OfAUnaryCallFreesItsRows) {
  TestServer::Options options = PuppetServer();
  const auto ledger = options.executor.ledger;
  TestServer server(options);
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  grpc::Status status;
  std::thread caller(
      [&] { status = server.stub().GenerateImages(&context, Images(3, 1), &response); });
  server.executor().AwaitStep();
  context.TryCancel();
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("GenerateImages CANCELLED"));
  caller.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  server.executor().ReleaseAll();
  EXPECT_TRUE(server.engine().Drain(absl::InfiniteFuture()));
  ledger->AwaitNoneAlive();
}

TEST(Deadline, EndsTheCallAndFreesItsRows) {
  TestServer::Options options = PuppetServer();
  const auto ledger = options.executor.ledger;
  TestServer server(options);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
  const auto reader = server.stub().Generate(&context, Images(1, 1));
  v1::GenerateEvent event;
  while (reader->Read(&event)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // The client's own deadline may cancel the call before the server's clock has reached it.
  EXPECT_THAT(server.metrics().AwaitFinished(1)[0],
              AnyOf("Generate DEADLINE_EXCEEDED", "Generate CANCELLED"));
  server.executor().ReleaseAll();
  EXPECT_TRUE(server.engine().Drain(absl::InfiniteFuture()));
  ledger->AwaitNoneAlive();
}

TEST(FullQueue, RefusesWithRetryInfoAndTakesRequestsAgainLater) {
  TestServer::Options options = PuppetServer();
  options.engine.max_trajectories = 2;
  TestServer server(options);
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, Images(2, 1));
  v1::GenerateEvent event;
  ASSERT_TRUE(reader->Read(&event));

  grpc::ClientContext refused_call;
  const auto refused_reader = server.stub().Generate(&refused_call, Images(1, 2));
  EXPECT_FALSE(refused_reader->Read(&event)) << "no Accepted before a refusal";
  const grpc::Status refused = refused_reader->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const google::protobuf::Duration delay = RetryInfoOf(refused).retry_delay();
  EXPECT_GT(delay.seconds() + delay.nanos(), 0);
  const auto pushback = refused_call.GetServerTrailingMetadata().find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, refused_call.GetServerTrailingMetadata().end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()),
            std::to_string(delay.seconds() * 1000 + delay.nanos() / 1'000'000));
  v1::GenerateImagesResponse response;
  EXPECT_EQ(server.GenerateImages(Images(1, 2), &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);

  server.executor().ReleaseAll();
  while (reader->Read(&event)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(ImagesOf(server.Generate(Images(2, 3))).size(), 2u);
}

TEST(FullQueue, MoreImagesThanItEverHoldsAreAnInvalidArgument) {
  TestServer::Options options;
  options.engine.max_trajectories = 2;
  TestServer server(options);
  grpc::Status status;
  server.Generate(Images(3, 1), &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(SlowReader, GetsTheNewestPreviewsAndEveryImage) {
  TestServer server;
  constexpr uint32_t kSteps = 20;
  v1::GenerateRequest request = Images(2, 1, kSteps);
  request.mutable_preview()->set_every_steps(1);
  request.mutable_preview()->set_kind(v1::PREVIEW_KIND_BOTH);
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, request);
  // Four slots of 19 previews each (none at the last step): one waits in each, and two more may
  // have been on their way.
  server.metrics().AwaitPreviewsDropped(4 * 18 - 2);

  std::map<std::pair<uint32_t, int>, uint32_t> last_preview;
  int previews = 0;
  int images = 0;
  v1::GenerateEvent event;
  while (reader->Read(&event)) {
    if (event.has_preview()) {
      ++previews;
      last_preview[{event.preview().image_index(), event.preview().kind()}] =
          event.preview().steps_done();
    }
    images += event.has_image() ? 1 : 0;
  }
  EXPECT_TRUE(event.has_completed());
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(images, 2);
  EXPECT_LE(previews, 6);
  ASSERT_EQ(last_preview.size(), 4u);
  for (const auto& [slot, steps] : last_preview) EXPECT_EQ(steps, kSteps - 1);
  server.metrics().AwaitFinished(1);
  EXPECT_EQ(server.metrics().previews_sent(), previews);
  EXPECT_EQ(server.metrics().previews_dropped(), 4 * 19 - previews);
  EXPECT_EQ(server.metrics().first_previews(), 1);
}

TEST(SlowReader, ThatTakesNothingIsCutOffAndItsRowsAreFreed) {
  TestServer::Options options = PuppetServer();
  options.server.stall_timeout = absl::Milliseconds(50);
  const auto ledger = options.executor.ledger;
  TestServer server(options);
  v1::GenerateRequest request = Images(1, 1);
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, request);
  EXPECT_THAT(server.metrics().AwaitFinished(1), ElementsAre("Generate CANCELLED"));
  v1::GenerateEvent event;
  while (reader->Read(&event)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
  server.executor().ReleaseAll();
  // Drain waits until the call is logged, too: it is counted first.
  EXPECT_TRUE(server.server().Drain(absl::InfiniteFuture()));
  ASSERT_EQ(server.log().size(), 1u);
  EXPECT_THAT(server.log()[0], HasSubstr("took nothing for"));
  ledger->AwaitNoneAlive();
}

// The engine is done with them, but they wait: who reads nothing asks for no more.
TEST(SlowReader, HoldsMemoryUntilItsImagesAreTaken) {
  TestServer::Options options;
  options.executor.ledger = std::make_shared<RegisterLedger>();
  options.server.max_waiting_bytes = size_t{96} << 10;
  TestServer server(options);
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, Images(40, 1));
  v1::GenerateEvent event;
  ASSERT_TRUE(reader->Read(&event));
  options.executor.ledger->AwaitCreated(40);
  options.executor.ledger->AwaitNoneAlive();
  server.engine().AwaitTold();

  v1::GenerateImagesResponse response;
  const grpc::Status refused = server.GenerateImages(Images(40, 2), &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("--max_waiting_bytes"));

  int images = 0;
  while (reader->Read(&event)) images += event.has_image() ? 1 : 0;
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(images, 40);
  // The server lets go a moment after its client knows the end.
  grpc::Status later;
  do {
    later = server.GenerateImages(Images(40, 2), &response);
  } while (later.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(later.ok()) << later.error_message();
}

TEST(FailingEncoder, EndsTheCallAndStopsItsGeneration) {
  TestServer::Options options;
  options.server.encode = [](const Frame&, const EncodeOptions&) -> absl::StatusOr<EncodedFrame> {
    return absl::InternalError("disk on fire");
  };
  TestServer server(options);
  grpc::Status status;
  server.Generate(Images(2, 1), &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("cannot be encoded: disk on fire"));
  v1::GenerateImagesResponse response;
  EXPECT_EQ(server.GenerateImages(Images(2, 1), &response).error_code(),
            grpc::StatusCode::INTERNAL);
}

TEST(FailingEncoder, OfPreviewsAloneCostsNoImage) {
  TestServer::Options options;
  options.server.encode = [](const Frame& frame, const EncodeOptions& encode) {
    if (!encode.digest) return absl::StatusOr<EncodedFrame>(absl::InternalError("no"));
    return EncodeFrame(frame, encode);
  };
  TestServer server(options);
  v1::GenerateRequest request = Images(1, 1);
  request.mutable_preview()->set_every_steps(1);
  EXPECT_EQ(ImagesOf(server.Generate(request)).size(), 1u);
  EXPECT_EQ(server.metrics().previews_sent(), 0);
}

TEST(Crowd, OfStreamsAndUnaryCallsAllGetTheirOwnBytes) {
  TestServer server;
  constexpr int kClients = 16;
  std::vector<std::string> alone(kClients);
  for (int i = 0; i < kClients; ++i) {
    alone[static_cast<size_t>(i)] =
        ImagesOf(server.Generate(Images(1, static_cast<uint64_t>(i), 1 + i % 7)))[0].data();
  }
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      const v1::GenerateRequest request = Images(1, static_cast<uint64_t>(i), 1 + i % 7);
      for (int repeat = 0; repeat < 5; ++repeat) {
        if (i % 2 == 0) {
          EXPECT_EQ(ImagesOf(server.Generate(request))[0].data(), alone[static_cast<size_t>(i)]);
        } else {
          v1::GenerateImagesResponse response;
          EXPECT_TRUE(server.GenerateImages(request, &response).ok());
          EXPECT_EQ(response.images(0).data(), alone[static_cast<size_t>(i)]);
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
}

TEST(Crowd, OfClientsThatLeaveAtAnyMomentLeavesNothingBehind) {
  TestServer::Options options;
  options.executor.ledger = std::make_shared<RegisterLedger>();
  const auto ledger = options.executor.ledger;
  TestServer server(options);
  constexpr size_t kCalls = 200;
  std::vector<std::thread> clients;
  for (int thread = 0; thread < 4; ++thread) {
    clients.emplace_back([&, thread] {
      for (size_t i = 0; i < kCalls / 4; ++i) {
        grpc::ClientContext context;
        v1::GenerateRequest request = Images(2, i, 20);
        request.mutable_preview()->set_every_steps(1);
        const auto reader = server.stub().Generate(&context, request);
        v1::GenerateEvent event;
        for (size_t read = 0; read < (i + static_cast<size_t>(thread)) % 9; ++read) {
          if (!reader->Read(&event)) break;
        }
        context.TryCancel();
        reader->Finish();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(server.server().Drain(absl::InfiniteFuture()));
  ledger->AwaitNoneAlive();
}

}  // namespace
}  // namespace diffusiond
