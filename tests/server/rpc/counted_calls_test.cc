// How many calls may be open, of whatever service, and whose connections go for others.
#include "server/rpc/counted_calls.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(20);

TestServer::Options Limited(ConnectionBook::Limits limits) {
  TestServer::Options options;
  options.server.listen_address = "127.0.0.1:0";
  options.server.transport.connections = limits;
  return options;
}

// With a connection of its own.
std::shared_ptr<grpc::Channel> ChannelTo(TestServer& server) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server.server().port()),
                                   grpc::InsecureChannelCredentials(), arguments);
}

// A stream of health, until it goes.
class Watch {
 public:
  explicit Watch(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(Health::NewStub(channel)), reader_(stub_->Watch(Context(), HealthCheckRequest())) {}
  ~Watch() {
    context_.TryCancel();
    HealthCheckResponse response;
    while (reader_->Read(&response)) {
    }
    if (!finished_) (void)reader_->Finish();
  }

  bool Reads() {
    HealthCheckResponse response;
    return reader_->Read(&response);
  }
  grpc::Status Finish() {
    finished_ = true;
    return reader_->Finish();
  }

 private:
  // A test that fails ends, too.
  grpc::ClientContext* Context() {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    return &context_;
  }

  grpc::ClientContext context_;
  const std::unique_ptr<Health::Stub> stub_;
  const std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
  bool finished_ = false;
};

grpc::Status GetModel(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  // Turned away while the server has not heard of another call's end, it comes again.
  context.set_wait_for_ready(true);
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::Model model;
  return v1::DiffusionService::NewStub(channel)->GetModel(&context, v1::GetModelRequest(), &model);
}

grpc::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  HealthCheckResponse response;
  return Health::NewStub(channel)->Check(&context, HealthCheckRequest(), &response);
}

void ExpectPassed(const grpc::Status& status, const std::string& limit) {
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr(limit));
}

TEST(CountedCalls, StreamsOfHealthAreAmongThoseThatMayBeOpen) {
  TestServer server(Limited({.calls_per_address = 2}));
  const auto channel = ChannelTo(server), beside = ChannelTo(server);
  auto first = std::make_unique<Watch>(channel), second = std::make_unique<Watch>(beside);
  ASSERT_TRUE(first->Reads() && second->Reads());
  Watch third(channel);
  EXPECT_FALSE(third.Reads());
  ExpectPassed(third.Finish(), "max_calls_per_address");
  ExpectPassed(GetModel(beside), "max_calls_per_address");
  EXPECT_TRUE(CheckHealth(beside).ok()) << "probes are answered";
  EXPECT_EQ(server.metrics().calls_refused(),
            (std::vector<std::string>{"max_calls_per_address", "max_calls_per_address"}));
  first.reset();
  grpc::Status freed = GetModel(beside);
  // The server hears of the end when it hears of it.
  for (const absl::Time end = absl::Now() + kPatience; !freed.ok() && absl::Now() < end;) {
    freed = GetModel(beside);
  }
  EXPECT_TRUE(freed.ok()) << freed.error_message();
}

TEST(CountedCalls, AllAddressesTogetherHaveALimit) {
  TestServer server(Limited({.calls = 1}));
  const auto channel = ChannelTo(server);
  Watch first(channel);
  ASSERT_TRUE(first.Reads());
  ExpectPassed(GetModel(channel), "(max_calls)");
}

TEST(CountedCalls, AConnectionWithACallStaysAndOneWithoutGoes) {
  TestServer server(Limited({.per_address = 2}));
  const auto busy = ChannelTo(server), idle = ChannelTo(server), next = ChannelTo(server);
  Watch lasting(busy);
  ASSERT_TRUE(lasting.Reads());
  EXPECT_TRUE(GetModel(idle).ok());
  EXPECT_TRUE(GetModel(next).ok());
  EXPECT_EQ(server.metrics().evicted(), 1);
  server.server().SetWorkersRunning(false);
  EXPECT_TRUE(lasting.Reads()) << "it is told what changes";
}

}  // namespace
}  // namespace diffusiond
