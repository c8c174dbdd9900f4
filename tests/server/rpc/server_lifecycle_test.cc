// Health, reflection, listening and the orderly end.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/message.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr char kService[] = "diffusiond.v1.DiffusionService";

HealthCheckResponse::ServingStatus HealthOf(Server& server, const std::string& service) {
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  const auto stub = Health::NewStub(server.InProcessChannel());
  const grpc::Status status = stub->Check(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.status();
}

void ExpectServing(TestServer& server, bool serving) {
  const auto expected = serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  EXPECT_EQ(HealthOf(server.server(), ""), expected);
  EXPECT_EQ(HealthOf(server.server(), kService), expected);
}

TEST(Health, IsServingOnlyWithAModelAndAWorker) {
  TestServer server;
  ExpectServing(server, true);
  server.server().SetWorkersRunning(false);
  ExpectServing(server, false);
  server.server().SetWorkersRunning(true);
  ExpectServing(server, true);
  server.catalog().Remove("clothes");
  server.server().OnCatalogChanged();
  ExpectServing(server, false);
  EXPECT_EQ(HealthOf(server.server(), kLivenessService), HealthCheckResponse::SERVING)
      << "a restart brings no model";
  server.catalog().Put(TestModel());
  server.server().OnCatalogChanged();
  ExpectServing(server, true);
}

TEST(Health, IsNotServingBeforeWorkersRun) {
  TestServer::Options options;
  options.worker = false;
  TestServer server(options);
  ExpectServing(server, false);
}

// Workers and models come before the port is open.
TEST(Health, KnowsFromTheStartWhatTheServerWasToldBeforeItListened) {
  ModelCatalog catalog;
  const auto engine = Engine::Create({}).value();
  Server::Options options;
  options.listen_address = "";
  const auto server = Server::Create(options, engine.get(), &catalog, nullptr).value();
  server->SetWorkersRunning(true);
  catalog.Put(TestModel());
  server->OnCatalogChanged();
  ASSERT_TRUE(server->Listen().ok());
  EXPECT_EQ(HealthOf(*server, ""), HealthCheckResponse::SERVING);
  EXPECT_EQ(HealthOf(*server, kLivenessService), HealthCheckResponse::SERVING);
}

TEST(Health, DoesNotKnowOtherServices) {
  TestServer server;
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("diffusiond.v1.Nothing");
  HealthCheckResponse response;
  const auto stub = Health::NewStub(server.server().InProcessChannel());
  EXPECT_EQ(stub->Check(&context, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(Drain, RefusesNewCallsAndLetsRunningOnesFinish) {
  TestServer::Options options;
  options.puppet = true;
  TestServer server(options);
  grpc::ClientContext watch_context;
  const auto watch = Health::NewStub(server.server().InProcessChannel())
                         ->Watch(&watch_context, HealthCheckRequest());
  HealthCheckResponse health;
  ASSERT_TRUE(watch->Read(&health));
  EXPECT_EQ(health.status(), HealthCheckResponse::SERVING);

  grpc::ClientContext running_context;
  v1::GenerateRequest request;
  request.set_count(2);
  const auto running = server.stub().Generate(&running_context, request);
  v1::GenerateEvent event;
  ASSERT_TRUE(running->Read(&event));
  server.executor().AwaitStep();

  bool drained = false;
  std::thread drainer([&] { drained = server.server().Drain(absl::Now() + absl::Minutes(5)); });
  ASSERT_TRUE(watch->Read(&health));
  EXPECT_EQ(health.status(), HealthCheckResponse::NOT_SERVING);
  watch_context.TryCancel();

  grpc::Status refused;
  EXPECT_TRUE(server.Generate({}, &refused).empty());
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.error_message(), HasSubstr("draining"));
  v1::GenerateImagesResponse response;
  EXPECT_EQ(server.GenerateImages({}, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext list_context;
  v1::ListModelsResponse models;
  EXPECT_EQ(server.stub().ListModels(&list_context, {}, &models).error_code(),
            grpc::StatusCode::UNAVAILABLE);

  server.executor().ReleaseAll();
  std::vector<v1::GenerateEvent> events;
  while (running->Read(&event)) events.push_back(event);
  EXPECT_TRUE(running->Finish().ok());
  EXPECT_EQ(ImagesOf(events).size(), 2u);
  drainer.join();
  EXPECT_TRUE(drained);
  ExpectServing(server, false);
}

TEST(Drain, EndsWhatRunsAtItsDeadlineWithUnavailable) {
  TestServer::Options options;
  options.puppet = true;
  TestServer server(options);
  grpc::ClientContext context;
  const auto running = server.stub().Generate(&context, {});
  v1::GenerateEvent event;
  ASSERT_TRUE(running->Read(&event));
  server.executor().AwaitStep();
  EXPECT_FALSE(server.server().Drain(absl::Now()));
  while (running->Read(&event)) {
  }
  EXPECT_EQ(running->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Drain, OfAnIdleServerReturnsAtOnce) {
  TestServer server;
  EXPECT_TRUE(server.server().Drain(absl::InfiniteFuture()));
}

TEST(Destruction, WhileCallsRunEndsThem) {
  auto server = std::make_unique<TestServer>([] {
    TestServer::Options options;
    options.puppet = true;
    return options;
  }());
  // Over TCP-less channels the stub's channel must outlive the calls.
  const auto stub = v1::DiffusionService::NewStub(server->server().InProcessChannel());
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>>> readers;
  for (int i = 0; i < 5; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    v1::GenerateRequest request;
    request.set_count(3);
    readers.push_back(stub->Generate(contexts.back().get(), request));
  }
  v1::GenerateEvent event;
  for (const auto& reader : readers) ASSERT_TRUE(reader->Read(&event));
  server->executor().AwaitStep();
  server.reset();
  for (const auto& reader : readers) {
    while (reader->Read(&event)) {
    }
    EXPECT_FALSE(reader->Finish().ok());
  }
}

TEST(Listening, OnPortZeroTellsThePortAndServes) {
  TestServer::Options options;
  options.server.listen_address = "127.0.0.1:0";
  TestServer server(options);
  ASSERT_GT(server.server().port(), 0);
  const auto stub = v1::DiffusionService::NewStub(grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", server.server().port()), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::GenerateRequest request;
  request.set_count(4);
  v1::GenerateImagesResponse response;
  const grpc::Status status = stub->GenerateImages(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.images_size(), 4);
}

TEST(Listening, OnATakenPortIsAnError) {
  TestServer::Options options;
  options.server.listen_address = "127.0.0.1:0";
  TestServer server(options);
  Server::Options second;
  second.listen_address = absl::StrCat("127.0.0.1:", server.server().port());
  const auto started = Server::Start(second, &server.engine(), &server.catalog(), nullptr);
  EXPECT_EQ(started.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(started.status().message()), HasSubstr(second.listen_address));
}

// Speaks grpc.reflection.v1alpha with the message classes that the reflection library links, whose
// headers Debian does not ship.
class Reflection {
 public:
  explicit Reflection(Server& server) : stub_(server.InProcessChannel()) {}

  // The response to a request with this string field set.
  std::unique_ptr<google::protobuf::Message> Ask(const std::string& field,
                                                 const std::string& value) {
    auto request = NewMessage("grpc.reflection.v1alpha.ServerReflectionRequest");
    request->GetReflection()->SetString(request.get(),
                                        request->GetDescriptor()->FindFieldByName(field), value);
    grpc::ClientContext context;
    const auto call = stub_.PrepareCall(
        &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue_);
    call->StartCall(Tag());
    AwaitTag();
    const grpc::Slice slice(request->SerializeAsString());
    call->Write(grpc::ByteBuffer(&slice, 1), Tag());
    AwaitTag();
    grpc::ByteBuffer buffer;
    call->Read(&buffer, Tag());
    AwaitTag();
    context.TryCancel();
    grpc::Status status;
    call->Finish(&status, Tag());
    AwaitTag();
    grpc::Slice bytes;
    EXPECT_TRUE(buffer.DumpToSingleSlice(&bytes).ok());
    auto response = NewMessage("grpc.reflection.v1alpha.ServerReflectionResponse");
    EXPECT_TRUE(response->ParseFromArray(bytes.begin(), static_cast<int>(bytes.size())));
    return response;
  }

 private:
  static std::unique_ptr<google::protobuf::Message> NewMessage(const std::string& name) {
    const auto* const descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    return std::unique_ptr<google::protobuf::Message>(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  }
  static void* Tag() { return reinterpret_cast<void*>(1); }
  void AwaitTag() {
    void* tag;
    bool ok;
    queue_.Next(&tag, &ok);
  }

  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
};

TEST(ReflectionService, ListsEveryService) {
  TestServer server;
  const auto response = Reflection(server.server()).Ask("list_services", "");
  for (const std::string name :
       {kService, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}) {
    EXPECT_THAT(response->ShortDebugString(), HasSubstr(absl::StrCat("\"", name, "\"")));
  }
}

TEST(ReflectionService, DescribesOurServiceAndHealth) {
  TestServer server;
  for (const std::string symbol : {kService, "grpc.health.v1.Health"}) {
    const auto response = Reflection(server.server()).Ask("file_containing_symbol", symbol);
    const auto* const answer =
        response->GetDescriptor()->FindFieldByName("file_descriptor_response");
    ASSERT_TRUE(response->GetReflection()->HasField(*response, answer))
        << symbol << ": " << response->ShortDebugString();
    const auto& files = response->GetReflection()->GetMessage(*response, answer);
    const auto* const field = files.GetDescriptor()->FindFieldByName("file_descriptor_proto");
    std::vector<std::string> services;
    for (int i = 0; i < files.GetReflection()->FieldSize(files, field); ++i) {
      google::protobuf::FileDescriptorProto file;
      ASSERT_TRUE(file.ParseFromString(files.GetReflection()->GetRepeatedString(files, field, i)));
      for (const auto& service : file.service()) {
        services.push_back(absl::StrCat(file.package(), ".", service.name()));
      }
    }
    EXPECT_THAT(services, Contains(symbol));
  }
}

}  // namespace
}  // namespace diffusiond
