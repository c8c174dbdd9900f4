// What health says while workers go and come.
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/watched_time.h"

namespace diffusiond {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr HealthCheckResponse::ServingStatus kServing = HealthCheckResponse::SERVING;
constexpr HealthCheckResponse::ServingStatus kNotServing = HealthCheckResponse::NOT_SERVING;

// A client that is told of each change.
class HealthWatch {
 public:
  HealthWatch(Server& server, const std::string& service)
      : stub_(Health::NewStub(server.InProcessChannel())) {
    HealthCheckRequest request;
    request.set_service(service);
    reader_ = stub_->Watch(&context_, request);
  }
  ~HealthWatch() {
    context_.TryCancel();
    reader_->Finish();
  }

  // Waits for the next change; the first is the present state.
  HealthCheckResponse::ServingStatus Next() {
    HealthCheckResponse response;
    EXPECT_TRUE(reader_->Read(&response));
    return response.status();
  }

 private:
  const std::unique_ptr<Health::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
};

HealthCheckResponse::ServingStatus HealthOf(Server& server, const std::string& service) {
  return HealthWatch(server, service).Next();
}

// Workers that are built again when the test moves their clock.
class WorkerHealth : public ::testing::TestWithParam<std::string> {
 protected:
  void StartServer(int workers,
                   std::function<absl::Status(absl::Span<const StepTask>)> step_fault) {
    TestServer::Options options;
    options.puppet = true;
    options.executor.step_fault = std::move(step_fault);
    options.supervisor.emplace();
    options.supervisor->now = clock_.AsFunction();
    options.supervisor->first_backoff = absl::Seconds(1);
    options.supervised_workers = workers;
    server_ = std::make_unique<TestServer>(options);
  }
  std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> StartStream() {
    v1::GenerateRequest request;
    request.set_count(1);
    return server_->stub().Generate(&context_, request);
  }
  void ExpectWhole(grpc::ClientReader<v1::GenerateEvent>& reader) {
    v1::GenerateEvent event;
    while (reader.Read(&event)) {
    }
    EXPECT_TRUE(event.has_completed());
    EXPECT_TRUE(reader.Finish().ok());
  }

  FakeClock clock_;
  grpc::ClientContext context_;
  std::unique_ptr<TestServer> server_;
};

TEST_P(WorkerHealth, GoesWithTheLastWorkerThatFailsAndComesBackWithIt) {
  StartServer(1, [failed = std::make_shared<bool>(false)](absl::Span<const StepTask>) {
    if (!std::exchange(*failed, true)) throw std::runtime_error("device lost");
    return absl::OkStatus();
  });
  HealthWatch watch(server_->server(), GetParam());
  EXPECT_EQ(watch.Next(), kServing);
  const auto reader = StartStream();
  server_->executors().ReleaseAll();
  EXPECT_EQ(watch.Next(), kNotServing);
  clock_.Advance(absl::Seconds(1));
  server_->supervisor().Check();
  EXPECT_EQ(watch.Next(), kServing);
  ExpectWhole(*reader);
}

TEST_P(WorkerHealth, GoesWithTheLastWorkerThatHangsAndComesBackWithAnother) {
  StartServer(1, nullptr);
  HealthWatch watch(server_->server(), GetParam());
  EXPECT_EQ(watch.Next(), kServing);
  const auto reader = StartStream();
  server_->executor().AwaitStep();
  PassWatched(absl::Seconds(61), clock_, server_->supervisor());
  EXPECT_EQ(watch.Next(), kNotServing);
  clock_.Advance(absl::Minutes(1));
  server_->supervisor().Check();
  EXPECT_EQ(watch.Next(), kServing);
  server_->executors().ReleaseAll();
  ExpectWhole(*reader);
}

TEST_P(WorkerHealth, StaysWhileAnotherWorkerRuns) {
  StartServer(2, [failed = std::make_shared<bool>(false)](absl::Span<const StepTask>) {
    if (!std::exchange(*failed, true)) throw std::runtime_error("device lost");
    return absl::OkStatus();
  });
  HealthWatch watch(server_->server(), GetParam());
  EXPECT_EQ(watch.Next(), kServing);
  const auto reader = StartStream();
  server_->executors().ReleaseAll();
  ExpectWhole(*reader);  // On the worker that is left: nobody has moved the clock.
  // The one that failed tells the supervisor last of all, after its work has gone to the other.
  for (server_->supervisor().Check(); server_->supervisor().running() != 1;
       server_->supervisor().Check()) {
    std::this_thread::yield();
  }
  EXPECT_EQ(HealthOf(server_->server(), GetParam()), kServing);
}

INSTANTIATE_TEST_SUITE_P(Services, WorkerHealth, ::testing::Values("", kLivenessService),
                         [](const auto& info) {
                           return info.param.empty() ? std::string("Server") : info.param;
                         });

}  // namespace
}  // namespace diffusiond
