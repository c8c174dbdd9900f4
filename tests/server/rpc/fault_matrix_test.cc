// Every fault on every way of asking. Whatever befalls one request: its client hears the documented
// status, the others running beside it get their bytes, and nothing of it is left in the server.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/channel.h"
#include "grpcpp/create_channel_posix.h"
#include "gtest/gtest.h"
#include "server/rpc/generation_request.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/counting_engine_metrics.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/watched_time.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;

enum class Method { kGenerate, kGenerateImages };

enum class Blow {
  kNone,
  kCancel,
  kDisconnect,
  kDeadline,
  kNan,
  kWorkerLost,
  kWorkerHangs,
  kShutdown,
};

struct Fault {
  const char* name;
  Blow blow;
  grpc::StatusCode code;  // What the client hears,
  const char* logged;     // and the server's log says.
};

constexpr Fault kFaults[] = {
    {"None", Blow::kNone, grpc::StatusCode::OK, "OK"},
    {"ClientCancels", Blow::kCancel, grpc::StatusCode::CANCELLED, "CANCELLED"},
    // What gRPC itself tells a client whose connection is gone.
    {"ClientVanishes", Blow::kDisconnect, grpc::StatusCode::UNAVAILABLE, "CANCELLED"},
    {"DeadlinePasses", Blow::kDeadline, grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"},
    {"NanInOneImage", Blow::kNan, grpc::StatusCode::INTERNAL, "INTERNAL"},
    {"WorkerIsLost", Blow::kWorkerLost, grpc::StatusCode::OK, "OK"},
    {"WorkerHangs", Blow::kWorkerHangs, grpc::StatusCode::OK, "OK"},
    {"ServerStops", Blow::kShutdown, grpc::StatusCode::UNAVAILABLE, "UNAVAILABLE"},
};

constexpr uint64_t kVictim = 7;  // Seeds tell requests apart.
constexpr uint32_t kSteps = 20;

v1::GenerateRequest Request(uint64_t seed, uint32_t count) {
  v1::GenerateRequest request;
  request.set_seed(seed);
  request.set_count(count);
  request.mutable_sampling()->set_steps(kSteps);
  request.mutable_sampling()->set_sampler("ddpm");
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  return request;
}

// One request on a thread of its own.
class Call {
 public:
  Call(std::shared_ptr<grpc::Channel> channel, Method method, v1::GenerateRequest request,
       absl::Time deadline = absl::InfiniteFuture())
      : request_(std::move(request)), stub_(v1::DiffusionService::NewStub(std::move(channel))) {
    if (deadline != absl::InfiniteFuture()) context_.set_deadline(absl::ToChronoTime(deadline));
    thread_ =
        std::thread([this, method] { method == Method::kGenerate ? RunStream() : RunUnary(); });
  }
  ~Call() {
    if (thread_.joinable()) thread_.join();
  }

  void Cancel() { context_.TryCancel(); }
  const v1::GenerateRequest& request() const { return request_; }

  // After the end.
  grpc::Status Await() {
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  // Bytes by image index.
  const std::map<uint32_t, std::string>& images() const { return images_; }

 private:
  void RunStream() {
    const auto reader = stub_->Generate(&context_, request_);
    v1::GenerateEvent event;
    while (reader->Read(&event)) {
      if (event.has_image()) images_[event.image().image_index()] = event.image().data();
    }
    status_ = reader->Finish();
  }
  void RunUnary() {
    v1::GenerateImagesResponse response;
    status_ = stub_->GenerateImages(&context_, request_, &response);
    for (const v1::Image& image : response.images()) images_[image.image_index()] = image.data();
  }

  const v1::GenerateRequest request_;
  const std::unique_ptr<v1::DiffusionService::Stub> stub_;
  grpc::ClientContext context_;
  grpc::Status status_;
  std::map<uint32_t, std::string> images_;
  std::thread thread_;
};

// A client whose connection can be cut, as the kernel does when its process dies.
class CutConnection {
 public:
  explicit CutConnection(int port) {
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    socket_ = dup(client);
    channel_ = grpc::CreateInsecureChannelFromFd("victim", client);
  }
  ~CutConnection() { close(socket_); }

  void Cut() { shutdown(socket_, SHUT_RDWR); }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }

 private:
  int socket_ = -1;
  std::shared_ptr<grpc::Channel> channel_;
};

class FaultMatrix : public ::testing::TestWithParam<std::tuple<Method, Fault>> {
 protected:
  static Method method() { return std::get<0>(GetParam()); }
  static const Fault& fault() { return std::get<1>(GetParam()); }

  TestServer::Options ServerOptions();
  // Starts victim and bystanders, and steps until all their rows are in one batch, which is held.
  void StartAll();
  // The fault, up to where the victim's end is certain.
  void Strike();
  void ExpectImages(Call& call);
  // After everything has ended.
  void ExpectNothingLeft();

  FakeClock engine_clock_;  // The supervisor has another: a deadline that passes is no hang.
  FakeClock supervisor_clock_;
  CountingEngineMetrics engine_metrics_;
  std::atomic<bool> nan_ = false;
  std::atomic<bool> lost_ = false;
  const std::shared_ptr<RegisterLedger> ledger_ = std::make_shared<RegisterLedger>();
  TestServer server_{ServerOptions()};
  std::unique_ptr<CutConnection> connection_;
  std::unique_ptr<Call> victim_;
  std::vector<std::unique_ptr<Call>> bystanders_;
};

TestServer::Options FaultMatrix::ServerOptions() {
  TestServer::Options options;
  options.puppet = true;
  options.server.listen_address = "127.0.0.1:0";
  options.engine.now = engine_clock_.AsFunction();
  options.engine.metrics = &engine_metrics_;
  options.executor.ledger = ledger_;
  options.executor.task_fault = [this](const StepTask& task) {
    return nan_ && task.spec->seed == kVictim && task.spec->image_index == 1
               ? absl::InternalError("the network's output is not finite")
               : absl::OkStatus();
  };
  options.executor.step_fault = [this](absl::Span<const StepTask>) {
    if (lost_.exchange(false)) throw std::runtime_error("device lost");
    return absl::OkStatus();
  };
  options.supervisor.emplace();
  options.supervisor->now = supervisor_clock_.AsFunction();
  options.supervisor->first_backoff = options.supervisor->longest_backoff = absl::ZeroDuration();
  return options;
}

void FaultMatrix::StartAll() {
  connection_ = std::make_unique<CutConnection>(server_.server().port());
  victim_ = std::make_unique<Call>(connection_->channel(), method(), Request(kVictim, 2),
                                   absl::Now() + absl::Hours(1));
  v1::GenerateRequest guided = Request(1, 1);
  guided.set_class_id(2);
  for (const auto& [bystander, request] :
       {std::pair{Method::kGenerate, guided}, {Method::kGenerateImages, Request(2, 1)}}) {
    bystanders_.push_back(
        std::make_unique<Call>(server_.server().InProcessChannel(), bystander, request));
  }
  engine_metrics_.AwaitAdmitted(4);
  server_.executor().AwaitStep();
  server_.executor().Release();
  ASSERT_THAT(server_.executor().AwaitStep(), SizeIs(4));
}

void FaultMatrix::Strike() {
  switch (fault().blow) {
    case Blow::kNone:
      break;
    case Blow::kCancel:
      victim_->Cancel();
      server_.metrics().AwaitFinished(1);
      break;
    case Blow::kDisconnect:
      connection_->Cut();
      server_.metrics().AwaitFinished(1);
      break;
    case Blow::kDeadline:
      engine_clock_.Advance(absl::Now() + absl::Hours(2) - engine_clock_.Now());
      break;
    case Blow::kNan:
      nan_ = true;
      break;
    case Blow::kWorkerLost:
      lost_ = true;
      server_.executor().Release();
      server_.executors().AwaitMade(2);
      break;
    case Blow::kWorkerHangs:
      PassWatched(absl::Minutes(2), supervisor_clock_, server_.supervisor());
      server_.executors().AwaitMade(2);
      break;
    case Blow::kShutdown:
      EXPECT_FALSE(server_.server().Drain(engine_clock_.Now()));
      break;
  }
}

void FaultMatrix::ExpectImages(Call& call) {
  GenerationRequest request =
      ParseGenerateRequest(call.request(), server_.catalog(), {}, PreviewSupport::kAllowed, 0)
          .value();
  MemoryBudget budget(1 << 20);
  const GenerationSpec spec = MakeGenerationSpec(request, {}, budget).value();
  ASSERT_THAT(call.images(), SizeIs(spec.trajectories.size()));
  for (const TrajectorySpec& image : spec.trajectories) {
    const Frame alone = FakeExecutor().DrawAlone(image);
    const std::string bytes(reinterpret_cast<const char*>(alone.values.data()),
                            alone.values.size() * sizeof(float));
    EXPECT_EQ(call.images().at(image.image_index), bytes) << "seed " << image.seed;
  }
}

void FaultMatrix::ExpectNothingLeft() {
  EXPECT_TRUE(server_.engine().Drain(absl::InfiniteFuture()));
  EXPECT_TRUE(server_.server().Drain(absl::InfiniteFuture()));
  engine_metrics_.AwaitAdmitted(0);  // Else this test hangs.
  server_.executors().AwaitLeft(1);  // What hung has ended.
  ledger_->AwaitNoneAlive();
  EXPECT_GT(ledger_->created(), 0);
  EXPECT_THAT(server_.AwaitLog(3),
              Contains(AllOf(HasSubstr(absl::StrCat("seed=", kVictim, " ")),
                             HasSubstr(absl::StrCat("code=", fault().logged, " ")))));
}

TEST_P(FaultMatrix, TheClientIsToldOthersFinishAndNothingIsLeft) {
  StartAll();
  Strike();
  const bool draws_on = fault().blow != Blow::kWorkerLost && fault().blow != Blow::kWorkerHangs;
  const bool ends_early = fault().code != grpc::StatusCode::OK;
  if (draws_on && ends_early && fault().blow != Blow::kShutdown) {
    // The victim's end is the next step's end: its rows are gone, the others' are all there.
    server_.executor().Release();
    for (const SeenTask& task : server_.executor().AwaitStep()) EXPECT_NE(task.seed, kVictim);
    if (HasFailure()) server_.executors().ReleaseAll();  // Else the victim would never end.
    EXPECT_EQ(victim_->Await().error_code(), fault().code) << victim_->Await().error_message();
  }
  server_.executors().ReleaseAll();

  EXPECT_EQ(victim_->Await().error_code(), fault().code) << victim_->Await().error_message();
  if (!ends_early) ExpectImages(*victim_);
  for (const auto& bystander : bystanders_) {
    const grpc::Status status = bystander->Await();
    if (fault().blow == Blow::kShutdown) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    } else {
      EXPECT_TRUE(status.ok()) << status.error_message();
      ExpectImages(*bystander);
    }
  }
  ExpectNothingLeft();
}

INSTANTIATE_TEST_SUITE_P(Everything, FaultMatrix,
                         ::testing::Combine(::testing::Values(Method::kGenerate,
                                                              Method::kGenerateImages),
                                            ::testing::ValuesIn(kFaults)),
                         [](const auto& info) {
                           const bool stream = std::get<0>(info.param) == Method::kGenerate;
                           return absl::StrCat(stream ? "Generate" : "GenerateImages",
                                               std::get<1>(info.param).name);
                         });

}  // namespace
}  // namespace diffusiond
