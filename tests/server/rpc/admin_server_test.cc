#include "server/rpc/admin_server.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_versions.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/fake_clock.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers what it was made with, and writes down what it was asked.
class FakeAdmin : public ModelAdmin {
 public:
  absl::StatusOr<std::vector<ModelVersionsInfo>> ListModelVersions(
      const std::string& name) override {
    asked.push_back("list " + name);
    if (!status.ok()) return status;
    return std::vector<ModelVersionsInfo>{model};
  }
  absl::StatusOr<ModelVersionsInfo> LoadModelVersion(const std::string& name,
                                                     int version) override {
    return Answer("load", name, version);
  }
  absl::StatusOr<ModelVersionsInfo> RollBackModel(const std::string& name, int version) override {
    return Answer("roll back", name, version);
  }

  absl::Status status;
  ModelVersionsInfo model;
  std::vector<std::string> asked;

 private:
  absl::StatusOr<ModelVersionsInfo> Answer(const char* what, const std::string& name, int version) {
    asked.push_back(absl::StrCat(what, " ", name, " ", version));
    if (!status.ok()) return status;
    return model;
  }
};

class AdminServerTest : public ::testing::Test {
 protected:
  AdminServerTest() {
    admin_.model.name = "mine";
    using State = VersionInfo::State;
    for (const State state :
         {State::kOnDisk, State::kServing, State::kKept, State::kDraining, State::kRefused}) {
      VersionInfo& info = admin_.model.versions.emplace_back();
      info.version = static_cast<int>(admin_.model.versions.size());
      info.state = state;
      info.digest = absl::StrCat("digest ", info.version);
      info.published = "2026-11-21T17:00:00+00:00";
    }
    admin_.model.versions.back().refusal = "is NaN";
    admin_.model.held = 2;
    admin_.model.problem = "'old' is no version";
    CallLog::Options log;
    log.refusals_per_second = 2;
    log.now = clock_.AsFunction();
    log.log = [this](const LogRecord& record) { log_.push_back(record.Text()); };
    server_ = AdminServer::Start({.listen_address = "", .log = log}, &admin_).value();
    stub_ = v1::ModelAdmin::NewStub(server_->InProcessChannel());
  }

  FakeClock clock_;
  FakeAdmin admin_;
  std::vector<std::string> log_;
  std::unique_ptr<AdminServer> server_;
  std::unique_ptr<v1::ModelAdmin::Stub> stub_;
};

TEST_F(AdminServerTest, AFloodOfNonsenseWritesFewLines) {
  v1::LoadVersionRequest request;
  request.set_version(2'000'000'000);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext call;
    v1::ModelVersions response;
    EXPECT_EQ(stub_->LoadVersion(&call, request, &response).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
  server_.reset();
  EXPECT_THAT(log_, ElementsAre(HasSubstr("code=INVALID_ARGUMENT"),
                                HasSubstr("code=INVALID_ARGUMENT"), HasSubstr("left_out=18 ")));
}

TEST_F(AdminServerTest, ListsVersionsWithTheirStates) {
  grpc::ClientContext call;
  v1::ListVersionsRequest request;
  request.set_model("mine");
  v1::ListVersionsResponse response;
  ASSERT_TRUE(stub_->ListVersions(&call, request, &response).ok());
  EXPECT_THAT(admin_.asked, ElementsAre("list mine"));
  ASSERT_EQ(response.models_size(), 1);
  const v1::ModelVersions& model = response.models(0);
  EXPECT_EQ(model.model(), "mine");
  EXPECT_EQ(model.held(), 2u);
  EXPECT_EQ(model.pinned(), 0u);
  EXPECT_EQ(model.problem(), "'old' is no version");
  ASSERT_EQ(model.versions_size(), 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(static_cast<int>(model.versions(i).version()), i + 1);
    EXPECT_EQ(static_cast<int>(model.versions(i).state()), i + 1) << "in the enum's order";
    EXPECT_EQ(model.versions(i).digest(), absl::StrCat("digest ", i + 1));
  }
  EXPECT_EQ(model.versions(4).refusal(), "is NaN");
  EXPECT_EQ(model.versions(4).published(), "2026-11-21T17:00:00+00:00");
}

TEST_F(AdminServerTest, LoadsAndRollsBackAndLogsIt) {
  v1::ModelVersions response;
  {
    grpc::ClientContext call;
    v1::LoadVersionRequest request;
    request.set_model("mine");
    request.set_version(3);
    ASSERT_TRUE(stub_->LoadVersion(&call, request, &response).ok());
    EXPECT_EQ(response.versions_size(), 5);
  }
  {
    grpc::ClientContext call;
    v1::RollbackRequest request;
    request.set_model("mine");
    admin_.status = absl::FailedPreconditionError("pinned");
    const grpc::Status status = stub_->Rollback(&call, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(status.error_message(), "pinned");
  }
  EXPECT_THAT(admin_.asked, ElementsAre("load mine 3", "roll back mine 0"));
  EXPECT_THAT(log_, ElementsAre(HasSubstr("method=LoadVersion model=mine version=3 code=OK"),
                                HasSubstr("method=Rollback model=mine version=0 "
                                          "code=FAILED_PRECONDITION")));
}

TEST_F(AdminServerTest, RefusesNumbersThatAreNoVersions) {
  grpc::ClientContext call;
  v1::LoadVersionRequest request;
  request.set_version(kMaxModelVersion + 1u);
  v1::ModelVersions response;
  const grpc::Status status = stub_->LoadVersion(&call, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("version is 1000000000"));
  EXPECT_TRUE(admin_.asked.empty());
}

TEST_F(AdminServerTest, AnAddressInUseIsNamed) {
  const auto first = AdminServer::Start({.listen_address = "127.0.0.1:0"}, &admin_);
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  const auto second = AdminServer::Start({.listen_address = address}, &admin_);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(address));
}

TEST(AdminServer, IsNotWhereClientsAre) {
  TestServer server;
  const auto stub = v1::ModelAdmin::NewStub(server.server().InProcessChannel());
  grpc::ClientContext call;
  v1::ListVersionsResponse response;
  EXPECT_EQ(stub->ListVersions(&call, {}, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

// What a client of a server with several versions sees.
TEST(ModelVersions, AreNamedByReceiptsAndTakenByDigest) {
  TestServer server;
  const auto version = [](int number) {
    ServedModel model = TestModel();
    model.version = number;
    model.digest = std::string(64, static_cast<char>('0' + number));
    return std::make_shared<const ServedModel>(std::move(model));
  };
  const auto one = version(1), two = version(2), three = version(3);
  server.catalog().Put(three, {two});

  v1::GenerateRequest request;
  request.set_seed(1);
  v1::GenerateImagesResponse response;
  ASSERT_TRUE(server.GenerateImages(request, &response).ok());
  EXPECT_EQ(response.receipt().model_version(), 3u);
  EXPECT_EQ(response.receipt().model_digest(), three->digest);

  request.set_model_digest(two->digest);
  ASSERT_TRUE(server.GenerateImages(request, &response).ok());
  EXPECT_EQ(response.receipt().model_version(), 2u);

  request.set_model_digest(one->digest);
  const grpc::Status gone = server.GenerateImages(request, &response);
  EXPECT_EQ(gone.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(gone.error_message(), HasSubstr("there is: version 3 (digest 333333333333), which "
                                              "is served, version 2 (digest 222222222222)"));

  grpc::ClientContext call;
  v1::Model model;
  ASSERT_TRUE(server.stub().GetModel(&call, {}, &model).ok());
  EXPECT_EQ(model.version(), 3u);
}

}  // namespace
}  // namespace diffusiond
