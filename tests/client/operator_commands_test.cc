// diffusionctl versions, swap and rollback, against a server in this process.
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands/commands.h"
#include "diffusiond/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class FakeAdminService final : public v1::ModelAdmin::Service {
 public:
  grpc::Status ListVersions(grpc::ServerContext*, const v1::ListVersionsRequest* request,
                            v1::ListVersionsResponse* response) override {
    asked = "list " + request->model();
    *response->add_models() = model;
    return status;
  }
  grpc::Status LoadVersion(grpc::ServerContext*, const v1::LoadVersionRequest* request,
                           v1::ModelVersions* response) override {
    asked = absl::StrCat("load ", request->model(), " ", request->version());
    *response = model;
    return status;
  }
  grpc::Status Rollback(grpc::ServerContext*, const v1::RollbackRequest* request,
                        v1::ModelVersions* response) override {
    asked = absl::StrCat("roll back ", request->model(), " ", request->version());
    *response = model;
    return status;
  }

  std::string asked;
  v1::ModelVersions model;
  grpc::Status status;
};

class OperatorCommandsTest : public ::testing::Test {
 protected:
  OperatorCommandsTest() {
    service_.model.set_model("mine");
    service_.model.set_held(1);
    for (int i = 1; i <= 3; ++i) {
      v1::ModelVersion* version = service_.model.add_versions();
      version->set_version(static_cast<uint32_t>(i));
      version->set_digest(std::string(64, static_cast<char>('a' + i)));
    }
    service_.model.mutable_versions(0)->set_state(v1::VERSION_STATE_SERVING);
    service_.model.mutable_versions(2)->set_state(v1::VERSION_STATE_REFUSED);
    service_.model.mutable_versions(2)->set_refusal("is NaN");
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    server_ = builder.BuildAndStart();
  }

  int Run(std::vector<std::string> arguments) {
    const absl::FlagSaver saver;
    out_.str("");
    err_.str("");
    arguments.insert(arguments.begin() + 1, absl::StrCat("--admin=127.0.0.1:", port_));
    const auto cancellation = Cancellation::Create().value();
    CommandContext context{.out = &out_,
                           .err = &err_,
                           .cancellation = cancellation.get(),
                           .terminal = [] { return Terminal(); },
                           .now = absl::Now};
    return RunDiffusionctl(arguments, context);
  }

  FakeAdminService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::ostringstream out_, err_;
};

TEST_F(OperatorCommandsTest, ListStatesAndWhyAVersionWasRefused) {
  EXPECT_EQ(Run({"versions"}), kExitOk) << err_.str();
  EXPECT_EQ(service_.asked, "list ");
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("mine   1        serving, held  bbbbbbbbbbbb"),
                    HasSubstr("mine   2        on disk"), HasSubstr("mine   3        refused"),
                    HasSubstr("mine 3 was refused: is NaN\n")));
  EXPECT_EQ(Run({"versions", "mine"}), kExitOk);
  EXPECT_EQ(service_.asked, "list mine");
}

TEST_F(OperatorCommandsTest, ListWhatIsWrongWithAModelAlsoOneThatHasNoVersions) {
  service_.model.set_problem("'old' is no version");
  EXPECT_EQ(Run({"versions"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("mine   1        serving"),
                                HasSubstr("mine: 'old' is no version\n")));
  service_.model.clear_versions();
  service_.model.set_problem("holds no model");
  EXPECT_EQ(Run({"versions"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("mine   -        refused  -       -\n"),
                                HasSubstr("mine: holds no model\n")));
}

TEST_F(OperatorCommandsTest, ASwapSaysByItsExitCodeThatNewerVersionsWereRefused) {
  EXPECT_EQ(Run({"swap", "mine"}), kExitNotNewest);
  EXPECT_THAT(err_.str(), HasSubstr("swapped to version 1, for newer versions were refused"));
  EXPECT_THAT(out_.str(), HasSubstr("mine 3 was refused: is NaN\n"));
  EXPECT_EQ(Run({"swap", "mine", "1"}), kExitOk) << "it was asked for";
  service_.model.set_pinned(1);
  EXPECT_EQ(Run({"swap", "mine"}), kExitOk) << "the repository asks for it";
}

TEST_F(OperatorCommandsTest, EscapeWhatTheServerSays) {
  service_.model.mutable_versions(2)->set_refusal("\x1b]0;owned\x07");
  service_.model.mutable_versions(1)->set_published("\x1b[2J");
  service_.model.set_problem("\x1b[31m");
  EXPECT_EQ(Run({"versions"}), kExitOk);
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("mine 3 was refused: \\x1b]0;owned\\x07\n"), HasSubstr("\\x1b[2J"),
                    HasSubstr("mine: \\x1b[31m\n"), Not(HasSubstr("\x1b"))));
  service_.status = grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "\x1b[31m");
  EXPECT_EQ(Run({"versions"}), kExitFailed);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("\\x1b[31m"), Not(HasSubstr("\x1b"))));
}

TEST_F(OperatorCommandsTest, SwapAndRollBack) {
  service_.model.mutable_versions(2)->set_state(v1::VERSION_STATE_ON_DISK);
  EXPECT_EQ(Run({"swap", "mine"}), kExitOk) << err_.str();
  EXPECT_EQ(service_.asked, "load mine 0");
  EXPECT_EQ(Run({"swap", "mine", "3"}), kExitOk);
  EXPECT_EQ(service_.asked, "load mine 3");
  EXPECT_EQ(Run({"rollback", "mine"}), kExitOk);
  EXPECT_EQ(service_.asked, "roll back mine 0");
  EXPECT_EQ(Run({"rollback", "mine", "1"}), kExitOk);
  EXPECT_EQ(service_.asked, "roll back mine 1");
  EXPECT_THAT(out_.str(), HasSubstr("serving, held"));
}

TEST_F(OperatorCommandsTest, PrintTheApiSMessagesForPrograms) {
  for (const std::vector<std::string>& line :
       std::vector<std::vector<std::string>>{{"versions", "--json"},
                                             {"swap", "mine", "1", "--json"},
                                             {"rollback", "mine", "--json"}}) {
    EXPECT_EQ(Run(line), kExitOk) << err_.str();
    EXPECT_THAT(out_.str(), AllOf(testing::StartsWith("{"), HasSubstr("\"held\": 1"),
                                  HasSubstr("\"state\": \"VERSION_STATE_SERVING\"")));
  }
}

TEST_F(OperatorCommandsTest, TellWhyNot) {
  service_.status = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "is pinned to version 2");
  EXPECT_EQ(Run({"rollback", "mine"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("FAILED_PRECONDITION: is pinned to version 2"));
  service_.status = grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded");
  EXPECT_EQ(Run({"rollback", "mine", "--deadline=1h"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("not finished within 1h by the server at 127.0.0.1:"));
  for (const char* version : {"0", "-1", "newest"}) {
    EXPECT_EQ(Run({"swap", "mine", "--", version}), kExitUsage) << version;
  }
  EXPECT_THAT(err_.str(), HasSubstr("VERSION is 'newest', expected a number from 1 on"));
  EXPECT_EQ(Run({"swap"}), kExitUsage);
  server_->Shutdown();
  EXPECT_EQ(Run({"versions"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("--admin_listen"));
}

}  // namespace
}  // namespace diffusiond
