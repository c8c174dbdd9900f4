// Everybody against everything: who shows what, at each method of each port.
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "server/rpc/method_rights.h"
#include "tests/server/rpc/secured_server.h"

namespace diffusiond {
namespace {

using ::google::protobuf::DescriptorPool;
using ::google::protobuf::ServiceDescriptor;
using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::IsEmpty;

using Code = grpc::StatusCode;
using Port = SecuredServer::Port;

// Of our API every service of every file, so that a new one cannot be forgotten.
std::vector<const ServiceDescriptor*> Services() {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  std::vector<const ServiceDescriptor*> services = {
      pool.FindServiceByName("grpc.health.v1.Health"),
      pool.FindServiceByName("grpc.reflection.v1alpha.ServerReflection")};
  for (const auto& entry : std::filesystem::directory_iterator("proto/diffusiond/v1")) {
    if (entry.path().extension() != ".proto") continue;
    const auto* file = pool.FindFileByName("diffusiond/v1/" + entry.path().filename().string());
    EXPECT_NE(file, nullptr) << entry.path();
    if (file == nullptr) continue;
    for (int i = 0; i < file->service_count(); ++i) services.push_back(file->service(i));
  }
  return services;
}

std::vector<std::string> Methods() {
  std::vector<std::string> paths;
  for (const ServiceDescriptor* service : Services()) {
    for (int i = 0; i < service->method_count(); ++i) {
      paths.push_back(absl::StrCat("/", service->full_name(), "/", service->method(i)->name()));
    }
  }
  return paths;
}

TEST(MethodRights, EveryMethodHasARule) {
  const std::vector<std::string> methods = Methods();
  EXPECT_GE(methods.size(), 10u);
  for (const std::string& path : methods) {
    const MethodRule rule = RuleOf(path);
    EXPECT_TRUE(rule.open || rule.right.has_value()) << path << " is nobody's: add it to the table";
  }
}

TEST(MethodRights, OfOurOwnServicesNoMethodIsOpen) {
  for (const std::string& path : Methods()) {
    EXPECT_EQ(RuleOf(path).open, path.find("/grpc.") == 0) << path;
  }
}

TEST(MethodRights, WhatIsNotKnownIsNobodys) {
  for (const char* path :
       {"", "/", "/diffusiond.v1.DiffusionService/", "/grpc.health.v1.Health",
        "/diffusiond.v1.DiffusionService/generate", "//diffusiond.v1.DiffusionService/Generate",
        "/grpc.health.v1.Health/Check/"}) {
    EXPECT_FALSE(RuleOf(path).open) << path;
    EXPECT_EQ(RuleOf(path).right, std::nullopt) << path;
  }
}

constexpr char kAll[] = "generate,read,admin";

// Who has every right but one; the name is the token, too.
struct AllBut {
  Right lacking;
  const char* name;
  const char* rights;
};
constexpr AllBut kAllBut[] = {{Right::kGenerate, "no-generate", "read,admin"},
                              {Right::kRead, "no-read", "generate,admin"},
                              {Right::kAdmin, "no-admin", "generate,read"}};

std::string Certificate(const std::string& name) {
  return absl::StrCat(R"("certificates": ["spiffe://here/)", name, R"("])");
}

class AccessMatrix : public ::testing::Test {
 protected:
  AccessMatrix()
      : server_({.list = List(/*with_revoked=*/true)}),
        good_(server_.IssueClient("spiffe://here/good")) {}

  static std::string List(bool with_revoked) {
    std::vector<std::string> identities = {IdentityJson("good", kAll, "good", Certificate("good"))};
    for (const auto& [lacking, name, rights] : kAllBut) {
      identities.push_back(IdentityJson(name, rights, name, Certificate(name)));
    }
    if (with_revoked) {
      identities.push_back(IdentityJson("revoked", kAll, "revoked", Certificate("revoked")));
    }
    return AccessJson(identities);
  }

  // Calls every method on both ports and hands on what came of each.
  void ForEach(const Shown& shown,
               const std::function<void(const std::string& path, const MethodRule& rule,
                                        const grpc::Status& status)>& check) {
    for (const Port port : {Port::kClients, Port::kOperators}) {
      const auto channel = server_.Connect(port, shown.certificate);
      for (const std::string& path : Methods()) {
        SCOPED_TRACE(absl::StrCat(path, port == Port::kClients ? "" : " on the operators' port"));
        check(path, RuleOf(path), CallWith(channel, path, shown.token).status);
      }
    }
  }

  void ExpectRefused(const grpc::Status& status, Code code) {
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), AnyOf(Eq("no credential that this server takes"),
                                              Eq("this credential has not the right to this "
                                                 "method")))
        << "the same words, whatever was wrong";
    EXPECT_THAT(status.error_details(), IsEmpty());
  }

  void ExpectOnlyOpenMethods(const Shown& shown, Code code) {
    ForEach(shown, [&](const std::string&, const MethodRule& rule, const grpc::Status& status) {
      if (!rule.open) return ExpectRefused(status, code);
      ExpectReached(status);
    });
  }

  // The service, or on the other port gRPC, which has no such service there.
  static void ExpectReached(const grpc::Status& status) {
    EXPECT_THAT(status.error_code(),
                AnyOf(Eq(Code::OK), Eq(Code::NOT_FOUND), Eq(Code::UNIMPLEMENTED)))
        << status.error_message();
  }

  void ExpectNoConnection(const Shown& shown) {
    ForEach(shown, [&](const std::string&, const MethodRule&, const grpc::Status& status) {
      EXPECT_EQ(status.error_code(), Code::UNAVAILABLE) << status.error_message();
    });
  }

  SecuredServer server_;
  const TestCertificates::Pair good_;
};

TEST_F(AccessMatrix, WithoutACredential) { ExpectOnlyOpenMethods({}, Code::UNAUTHENTICATED); }

TEST_F(AccessMatrix, WithAWrongToken) {
  ExpectOnlyOpenMethods({.token = "guessed"}, Code::UNAUTHENTICATED);
}

TEST_F(AccessMatrix, WithAWrongTokenAndARightCertificate) {
  ExpectOnlyOpenMethods({.certificate = good_, .token = "guessed"}, Code::UNAUTHENTICATED);
}

TEST_F(AccessMatrix, WithACertificateThatIsNotOnTheList) {
  ExpectOnlyOpenMethods({.certificate = server_.IssueClient("spiffe://here/unlisted")},
                        Code::UNAUTHENTICATED);
}

TEST_F(AccessMatrix, WithACertificateOfAnotherAuthority) {
  const auto elsewhere = server_.certificates().MakeAuthority("authority");
  ExpectNoConnection({.certificate = server_.certificates().Issue(
                          elsewhere, {.common_name = "good", .names = "URI:spiffe://here/good"}),
                      .token = "good"});
}

TEST_F(AccessMatrix, WithACertificateThatHasExpired) {
  ExpectNoConnection({.certificate = server_.certificates().Issue(
                          server_.authority(), {.common_name = "good",
                                                .names = "URI:spiffe://here/good",
                                                .until = absl::Now() - absl::Minutes(1)}),
                      .token = "good"});
}

TEST_F(AccessMatrix, WithACertificateThatIsNotValidYet) {
  ExpectNoConnection({.certificate = server_.certificates().Issue(
                          server_.authority(), {.common_name = "good",
                                                .names = "URI:spiffe://here/good",
                                                .from = absl::Now() + absl::Hours(1)}),
                      .token = "good"});
}

TEST_F(AccessMatrix, WithWhatWasTakenOffTheList) {
  const Shown token = {.token = "revoked"};
  const Shown certificate = {.certificate = server_.IssueClient("spiffe://here/revoked")};
  const auto connected = server_.Connect(Port::kClients, certificate.certificate);
  const std::string list = "/diffusiond.v1.DiffusionService/ListModels";
  EXPECT_TRUE(CallWith(connected, list, "").status.ok());
  EXPECT_TRUE(CallWith(connected, list, "revoked").status.ok());

  server_.WriteList(List(/*with_revoked=*/false));
  server_.access().Poll();
  ExpectRefused(CallWith(connected, list, "").status, Code::UNAUTHENTICATED);
  ExpectRefused(CallWith(connected, list, "revoked").status, Code::UNAUTHENTICATED);
  ExpectOnlyOpenMethods(token, Code::UNAUTHENTICATED);
  ExpectOnlyOpenMethods(certificate, Code::UNAUTHENTICATED);
}

TEST_F(AccessMatrix, WithEveryRightButTheOneThatIsAskedFor) {
  for (const AllBut& one : kAllBut) {
    const auto check = [&](const std::string&, const MethodRule& rule, const grpc::Status& status) {
      if (rule.right == one.lacking) return ExpectRefused(status, Code::PERMISSION_DENIED);
      ExpectReached(status);
    };
    ForEach({.token = one.name}, check);
    ForEach({.certificate = server_.IssueClient(absl::StrCat("spiffe://here/", one.name))}, check);
  }
}

TEST_F(AccessMatrix, WithTheRightOne) {
  const auto check = [&](const std::string&, const MethodRule&, const grpc::Status& status) {
    ExpectReached(status);
  };
  ForEach({.token = "good"}, check);
  ForEach({.certificate = good_}, check);
  ForEach({.certificate = good_, .token = "good"}, check);
}

TEST_F(AccessMatrix, AtMethodsThatDoNotExist) {
  const auto channel = server_.Connect(Port::kClients, std::nullopt);
  for (const char* path : {"/diffusiond.v1.DiffusionService/Undreamt", "/another.Service/Method"}) {
    ExpectRefused(CallWith(channel, path, "").status, Code::UNAUTHENTICATED);
    ExpectRefused(CallWith(channel, path, "good").status, Code::PERMISSION_DENIED);
  }
}

TEST_F(AccessMatrix, InWaysThatNoClientOfOursAsks) {
  const auto channel = server_.Connect(Port::kClients, std::nullopt);
  const std::string list = "/diffusiond.v1.DiffusionService/ListModels";
  for (const std::multimap<std::string, std::string>& metadata :
       {std::multimap<std::string, std::string>{{"authorization", "good"}},
        {{"authorization", "Basic good"}},
        {{"authorization", "Bearer"}},
        {{"authorization", "Bearer "}},
        {{"authorization", "Bearer  good"}},
        {{"authorization", "Bearer good, Bearer good"}},
        {{"authorization", "Bearer good"}, {"authorization", "Bearer good"}},
        {{"authorization", "Bearer guessed"}, {"authorization", "Bearer good"}},
        {{"authorization-bin", "Bearer good"}},
        {{"proxy-authorization", "Bearer good"}},
        {{"x509_common_name", "good"}, {"peer_spiffe_id", "spiffe://here/good"}}}) {
    ExpectRefused(Call(channel, list, metadata).status, Code::UNAUTHENTICATED);
  }
  EXPECT_TRUE(Call(channel, list, {{"authorization", "bearer good"}}).status.ok())
      << "the scheme's case is nobody's business (RFC 7235)";
}

TEST(AccessMatrixWithRequiredCertificates, NobodyWithoutOneReachesAnything) {
  SecuredServer server({.list = AccessJson({IdentityJson("good", kAll, "good")}),
                        .client_certificates = ClientCertificates::kRequire});
  for (const Port port : {Port::kClients, Port::kOperators}) {
    const auto channel = server.Connect(port, std::nullopt);
    for (const std::string& path : Methods()) {
      EXPECT_EQ(CallWith(channel, path, "good").status.error_code(), Code::UNAVAILABLE) << path;
    }
  }
  const auto channel = server.Connect(Port::kClients, server.IssueClient("spiffe://here/any"));
  EXPECT_TRUE(CallWith(channel, "/grpc.health.v1.Health/Check", "").status.ok());
}

TEST(AccessMatrixWithoutTls, PlaintextReachesNothingOfAServerWithTls) {
  SecuredServer server({.list = AccessJson({IdentityJson("good", kAll, "good")})});
  for (const Port port : {Port::kClients, Port::kOperators}) {
    const auto channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", server.port(port)),
                                             grpc::InsecureChannelCredentials());
    for (const std::string& path : Methods()) {
      EXPECT_EQ(CallWith(channel, path, "good").status.error_code(), Code::UNAVAILABLE) << path;
    }
  }
}

}  // namespace
}  // namespace diffusiond
