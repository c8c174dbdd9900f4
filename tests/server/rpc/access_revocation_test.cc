// Calls that are begun with a right, and say what they want when it is gone.
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/secured_server.h"

namespace diffusiond {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using Code = grpc::StatusCode;
using Port = SecuredServer::Port;

// A call whose headers are sent, and whose message is not.
class HeldCall {
 public:
  HeldCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
           const std::string& token)
      : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    context_.AddMetadata("authorization", "Bearer " + token);
    call_ = stub_.PrepareCall(&context_, path, &queue_);
    call_->StartCall(this);
    Await();
  }

  // Sends an empty message.
  grpc::Status Finish() {
    const grpc::Slice nothing;
    call_->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(), this);
    Await();
    grpc::ByteBuffer answer;
    do {
      call_->Read(&answer, this);
    } while (Await());
    grpc::Status status;
    call_->Finish(&status, this);
    Await();
    return status;
  }

 private:
  bool Await() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

struct Method {
  Port port;
  const char* path;
};
constexpr Method kMethods[] = {
    {Port::kClients, "/diffusiond.v1.DiffusionService/Generate"},
    {Port::kClients, "/diffusiond.v1.DiffusionService/GenerateImages"},
    {Port::kClients, "/diffusiond.v1.DiffusionService/ListModels"},
    {Port::kClients, "/diffusiond.v1.DiffusionService/GetModel"},
    {Port::kOperators, "/diffusiond.v1.ModelAdmin/ListVersions"},
    {Port::kOperators, "/diffusiond.v1.ModelAdmin/LoadVersion"},
    {Port::kOperators, "/diffusiond.v1.ModelAdmin/Rollback"},
};

constexpr char kAll[] = "generate,read,admin";

// `list_after`: of which all calls were begun before.
void ExpectAllRefused(const std::string& list_after, Code code) {
  SecuredServer server({.list = AccessJson({IdentityJson("web", kAll, "w")})});
  std::vector<std::pair<std::string, std::unique_ptr<HeldCall>>> held;
  for (const auto& [port, path] : kMethods) {
    const auto channel = server.Connect(port, std::nullopt);
    held.emplace_back(path, std::make_unique<HeldCall>(channel, path, "w"));
    // Answered on the same connection, so that the headers before it have been judged.
    ASSERT_TRUE(CallWith(channel, path, "w").status.ok());
  }
  server.WriteList(list_after);
  server.access().Poll();
  for (const auto& [path, call] : held) {
    const grpc::Status status = call->Finish();
    EXPECT_EQ(status.error_code(), code) << path << ": " << status.error_message();
  }
  EXPECT_THAT(server.admin_log(), Contains(HasSubstr("access method=/diffusiond.v1.ModelAdmin/")));
}

TEST(AccessRevocation, OfATokenRefusesCallsThatWereBegunBefore) {
  ExpectAllRefused(AccessJson({IdentityJson("web", kAll, "another")}), Code::UNAUTHENTICATED);
}

TEST(AccessRevocation, OfARightRefusesCallsThatWereBegunBefore) {
  ExpectAllRefused(AccessJson({IdentityJson("web", "", "w")}), Code::PERMISSION_DENIED);
}

}  // namespace
}  // namespace diffusiond
