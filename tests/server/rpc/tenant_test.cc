// On whose behalf a request runs: what the server makes of a call's metadata and address.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// The end of a call with this metadata; empty: without.
grpc::Status CallAs(v1::DiffusionService::Stub& stub, const std::string& tenant) {
  grpc::ClientContext context;
  if (!tenant.empty()) context.AddMetadata("diffusiond-tenant", tenant);
  v1::GenerateImagesResponse response;
  return stub.GenerateImages(&context, v1::GenerateRequest(), &response);
}

TEST(Tenant, IsWhatTheMetadataSays) {
  TestServer server;
  EXPECT_TRUE(CallAs(server.stub(), "studio").ok());
  EXPECT_THAT(server.AwaitLog(1), ElementsAre(EndsWith(" tenant=studio")));
}

TEST(Tenant, IsTheAddressWithoutItsPortIfTheMetadataSaysNothing) {
  TestServer::Options options;
  options.server.listen_address = "127.0.0.1:0";
  TestServer server(options);
  const auto stub = v1::DiffusionService::NewStub(grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", server.server().port()), grpc::InsecureChannelCredentials()));
  EXPECT_TRUE(CallAs(*stub, "").ok());
  EXPECT_THAT(server.AwaitLog(1), ElementsAre(EndsWith(" tenant=ipv4:127.0.0.1")));
}

TEST(Tenant, OfTooManyBytesIsRefused) {
  TestServer server;
  EXPECT_TRUE(CallAs(server.stub(), std::string(128, 'x')).ok());
  const grpc::Status refused = CallAs(server.stub(), std::string(129, 'x'));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(),
              HasSubstr("metadata diffusiond-tenant has 129 bytes, expected 1 .. 128"));
}

}  // namespace
}  // namespace diffusiond
