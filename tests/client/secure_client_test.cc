// The client and diffusionctl against a server with TLS and an access list.
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands/commands.h"
#include "client/diffusion_client.h"
#include "client/secure_channel.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/access/access_list.h"
#include "tests/server/rpc/secured_server.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

using Port = SecuredServer::Port;

class SecureClient : public ::testing::Test {
 protected:
  SecureClient()
      : server_({.list = AccessJson({IdentityJson("web", "generate,read", "good"),
                                     IdentityJson("ops", "admin", "boss"),
                                     IdentityJson("cert", "generate,read,admin", "",
                                                  R"("certificates": ["spiffe://here/cert"])")})}) {
    const TestCertificates& maker = server_.certificates();
    ca_ = maker.Write("ca.pem", server_.authority().certificate);
    token_ = maker.Write("good.token", "good\n");
    const TestCertificates::Pair pair = server_.IssueClient("spiffe://here/cert");
    certificate_ = maker.Write("client.pem", pair.certificate);
    key_ = maker.Write("client.key", pair.key);
  }

  std::string Target(Port port = Port::kClients) const {
    return absl::StrCat("127.0.0.1:", server_.port(port));
  }

  absl::Status ListModels(const SecurityFiles& files) const {
    ClientOptions options;
    const auto credentials = MakeTlsCredentials(files);
    if (!credentials.ok()) return credentials.status();
    options.credentials = *credentials;
    return (*DiffusionClient::Connect(Target(), options))->ListModels().status();
  }

  // diffusionctl's exit code.
  int Run(std::vector<std::string> arguments) {
    const absl::FlagSaver saver;
    out_.str("");
    err_.str("");
    const auto cancellation = Cancellation::Create().value();
    CommandContext context{.out = &out_,
                           .err = &err_,
                           .cancellation = cancellation.get(),
                           .terminal = [] { return Terminal(); },
                           .now = absl::Now};
    return RunDiffusionctl(arguments, context);
  }

  SecuredServer server_;
  std::string ca_, token_, certificate_, key_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(SecureClient, IsKnownByItsToken) {
  const absl::Status status = ListModels({.ca = ca_, .token = token_});
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ListModels({.ca = ca_}).code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(SecureClient, IsKnownByItsCertificate) {
  const absl::Status status = ListModels({.ca = ca_, .certificate = certificate_, .key = key_});
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(SecureClient, DoesNotTalkToAServerThatNobodyVouchesFor) {
  const auto other = server_.certificates().MakeAuthority("authority");
  const std::string wrong = server_.certificates().Write("wrong.pem", other.certificate);
  EXPECT_EQ(ListModels({.ca = wrong, .token = token_}).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(server_.server().log(), IsEmpty());
}

TEST_F(SecureClient, SaysWhichFileIsWrong) {
  const auto fault = [&](const SecurityFiles& files) {
    return std::string(MakeTlsCredentials(files).status().message());
  };
  EXPECT_THAT(fault({.ca = "/nowhere"}), HasSubstr("cannot read /nowhere"));
  EXPECT_THAT(fault({.ca = ca_, .certificate = certificate_}), HasSubstr("needs its key (--key)"));
  EXPECT_THAT(fault({.ca = ca_, .key = key_}), HasSubstr("needs its certificate (--cert)"));
  for (const char* text : {" \n", "two words\n", "umlaut \xc3\xa4"}) {
    const std::string path = server_.certificates().Write("bad.token", text);
    EXPECT_THAT(fault({.ca = ca_, .token = path}),
                AllOf(HasSubstr("bad.token holds no token"), Not(HasSubstr("words\n"))));
  }
}

TEST_F(SecureClient, CommandsTakeTheirFilesByFlags) {
  const std::string server = "--server=" + Target(), ca = "--ca=" + ca_;
  EXPECT_EQ(Run({"models", server, ca, "--token_file=" + token_}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("clothes"));
  EXPECT_EQ(Run({"health", server, ca}), kExitOk) << err_.str();
  EXPECT_EQ(Run({"models", server, ca, "--cert=" + certificate_, "--key=" + key_}), kExitOk)
      << err_.str();
  EXPECT_EQ(Run({"models", server, ca}), kExitFailed);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("UNAUTHENTICATED"), HasSubstr("--token_file=FILE")));
  EXPECT_EQ(Run({"load", server, ca, "--token_file=" + token_, "--rate=100", "--requests=3",
                 "--mix=one steps=2"}),
            kExitOk)
      << err_.str() << out_.str();
}

TEST_F(SecureClient, CommandsForOperatorsDoSo) {
  const std::string admin = "--admin=" + Target(Port::kOperators), ca = "--ca=" + ca_;
  const std::string boss = server_.certificates().Write("boss.token", "boss");
  EXPECT_EQ(Run({"versions", admin, ca, "--token_file=" + boss}), kExitOk) << err_.str();
  EXPECT_EQ(Run({"versions", admin, ca, "--token_file=" + token_}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("PERMISSION_DENIED"));
}

// For as long as the process lives: flags come before it.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }

 private:
  const char* const name_;
};

TEST_F(SecureClient, CommandsTakeTheirFilesByTheEnvironment) {
  const std::string server = "--server=" + Target();
  const Variable ca("DIFFUSIOND_CA", ca_);
  {
    const Variable token("DIFFUSIOND_TOKEN_FILE", token_);
    EXPECT_EQ(Run({"models", server}), kExitOk) << err_.str();
    EXPECT_EQ(Run({"models", server, "--token_file=/nowhere"}), kExitFailed);
    EXPECT_THAT(err_.str(), HasSubstr("cannot read /nowhere")) << "a flag goes first";
  }
  const Variable certificate("DIFFUSIOND_CERT", certificate_);
  const Variable key("DIFFUSIOND_KEY", key_);
  EXPECT_EQ(Run({"models", server}), kExitOk) << err_.str();
  const Variable tls("DIFFUSIOND_TLS", "perhaps");
  EXPECT_EQ(Run({"models", server}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("DIFFUSIOND_TLS is 'perhaps'"));
}

TEST_F(SecureClient, ATokenIsNotSentInPlaintext) {
  EXPECT_EQ(Run({"models", "--server=" + Target(), "--tls=false", "--token_file=" + token_}),
            kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("not with --tls=false"));
}

TEST_F(SecureClient, ATokenThatDiffusionctlMadeIsOneForTheServer) {
  ASSERT_EQ(Run({"token", "new", "--identity=new web", "--json"}), kExitOk) << err_.str();
  const auto made = nlohmann::json::parse(out_.str());
  server_.WriteList(AccessJson({made["identity"].dump()}));
  server_.access().Poll();
  const std::string path =
      server_.certificates().Write("new.token", made["token"].get<std::string>());
  const absl::Status status = ListModels({.ca = ca_, .token = path});
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(SecureClient, ATokenIsPrintedWhereAFileTakesItAndItsLineForPeople) {
  ASSERT_EQ(Run({"token", "new", "--identity=web"}), kExitOk);
  const std::string token = out_.str();
  EXPECT_THAT(token, StartsWith("diffusiond_"));
  EXPECT_EQ(token.size(), 55u) << "the prefix, 43 characters for 256 bits, and the line's end";
  EXPECT_THAT(err_.str(), AllOf(HasSubstr(R"({"name":"web","rights":["generate","read"])"),
                                Not(HasSubstr(token.substr(0, token.size() - 1)))));
  ASSERT_EQ(Run({"token", "new", "--identity=web"}), kExitOk);
  EXPECT_NE(out_.str(), token);
}

TEST_F(SecureClient, ATokenNeedsAName) {
  EXPECT_EQ(Run({"token", "new"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--identity: expected 1 .. 128"));
  EXPECT_EQ(Run({"token", "old", "--identity=web"}), kExitUsage);
  EXPECT_EQ(Run({"token"}), kExitUsage);
}

}  // namespace
}  // namespace diffusiond
