// Requests that are small on the wire and large in memory.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/counted_inflate.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

constexpr size_t kBombBytes = 64 << 20;

std::shared_ptr<grpc::Channel> ChannelTo(int port, grpc_compression_algorithm algorithm) {
  grpc::ChannelArguments arguments;
  arguments.SetCompressionAlgorithm(algorithm);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                   grpc::InsecureChannelCredentials(), arguments);
}

TestServer::Options Listening(bool accept_compressed_requests) {
  TestServer::Options options;
  options.server.listen_address = "127.0.0.1:0";
  options.server.transport.accept_compressed_requests = accept_compressed_requests;
  return options;
}

grpc::Status Send(const std::shared_ptr<grpc::Channel>& channel, size_t model_bytes) {
  grpc::ClientContext context;
  v1::GenerateRequest request;
  if (model_bytes > 0) request.set_model(std::string(model_bytes, 'x'));
  v1::GenerateImagesResponse response;
  return v1::DiffusionService::NewStub(channel)->GenerateImages(&context, request, &response);
}

class CompressedRequestsTest : public ::testing::TestWithParam<grpc_compression_algorithm> {};

TEST_P(CompressedRequestsTest, AreRefusedUnread) {
  TestServer server(Listening(false));
  const int64_t before = InflatedBytes();
  for (const size_t bytes : {size_t{100}, kBombBytes}) {
    const grpc::Status status = Send(ChannelTo(server.server().port(), GetParam()), bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("ompression algorithm"));
  }
  EXPECT_EQ(InflatedBytes() - before, 0);
  EXPECT_TRUE(Send(ChannelTo(server.server().port(), GRPC_COMPRESS_NONE), 0).ok());
}

TEST_P(CompressedRequestsTest, AreTakenWhereTheServerIsToldSo) {
  TestServer server(Listening(true));
  const int64_t before = InflatedBytes();
  EXPECT_EQ(Send(ChannelTo(server.server().port(), GetParam()), 100).error_code(),
            grpc::StatusCode::NOT_FOUND)
      << "no model has such a name";
  EXPECT_GT(InflatedBytes() - before, 0);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, CompressedRequestsTest,
                         ::testing::Values(GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE),
                         [](const auto& info) {
                           return std::string(info.param == GRPC_COMPRESS_GZIP ? "Gzip"
                                                                               : "Deflate");
                         });

}  // namespace
}  // namespace diffusiond
