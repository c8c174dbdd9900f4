// On whose behalf a request runs: what the server makes of a call's metadata and address.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/metadata_keys.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The end of a call with this metadata; empty: without.
grpc::Status CallAs(v1::DiffusionService::Stub& stub, const std::string& tenant) {
  grpc::ClientContext context;
  if (!tenant.empty()) context.AddMetadata(kTenantMetadata, tenant);
  v1::GenerateImagesResponse response;
  return stub.GenerateImages(&context, v1::GenerateRequest(), &response);
}

TEST(Tenant, IsWhatTheMetadataSays) {
  TestServer server;
  EXPECT_TRUE(CallAs(server.stub(), "studio").ok());
  EXPECT_THAT(server.AwaitLog(1), ElementsAre(HasSubstr(" tenant=studio")));
}

TEST(Tenant, IsTheAddressWithoutItsPortIfTheMetadataSaysNothing) {
  TestServer::Options options;
  options.server.listen_address = "127.0.0.1:0";
  TestServer server(options);
  const auto stub = v1::DiffusionService::NewStub(grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", server.server().port()), grpc::InsecureChannelCredentials()));
  EXPECT_TRUE(CallAs(*stub, "").ok());
  EXPECT_THAT(server.AwaitLog(1), ElementsAre(HasSubstr(" tenant=ipv4:127.0.0.1")));
}

TEST(Tenant, OfTooManyBytesIsRefused) {
  TestServer server;
  EXPECT_TRUE(CallAs(server.stub(), std::string(128, 'x')).ok());
  const grpc::Status refused = CallAs(server.stub(), std::string(129, 'x'));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(),
              HasSubstr("metadata diffusiond-tenant has 129 bytes, expected 1 .. 128"));
}

TEST(Tenant, OfAnyNameSharesWhatItsAddressMayHaveOfTheQueue) {
  TestServer::Options options;
  options.puppet = true;
  options.engine.max_trajectories = 4;
  options.server.listen_address = "127.0.0.1:0";
  TestServer server(options);
  const auto stub = v1::DiffusionService::NewStub(grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", server.server().port()), grpc::InsecureChannelCredentials()));
  grpc::ClientContext first_call, second_call;
  first_call.AddMetadata(kTenantMetadata, "first");
  v1::GenerateRequest request;
  request.set_count(3);
  const auto first = stub->Generate(&first_call, request);
  v1::GenerateEvent event;
  ASSERT_TRUE(first->Read(&event));

  const grpc::Status refused = CallAs(*stub, "second");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("address \"ipv4:127.0.0.1\" has 3 of 4 images"));
  const auto elsewhere = server.stub().Generate(&second_call, v1::GenerateRequest());
  EXPECT_TRUE(elsewhere->Read(&event)) << "another address finds room";
  server.executor().ReleaseAll();
  while (first->Read(&event)) {
  }
  while (elsewhere->Read(&event)) {
  }
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_TRUE(elsewhere->Finish().ok());
}

}  // namespace
}  // namespace diffusiond
