// What becomes of a call whose caller is known.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "proto/metadata_keys.h"
#include "tests/server/rpc/secured_server.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;

using Code = grpc::StatusCode;
using Port = SecuredServer::Port;

constexpr char kDraw[] = "/diffusiond.v1.DiffusionService/GenerateImages";
constexpr char kStream[] = "/diffusiond.v1.DiffusionService/Generate";

std::multimap<std::string, std::string> Metadata(const std::string& token,
                                                 const std::string& tenant) {
  return {{"authorization", "Bearer " + token}, {kTenantMetadata, tenant}};
}

TEST(AccessCalls, AreInTheNameThatTheListSays) {
  SecuredServer server(
      {.list = AccessJson({IdentityJson("web", "generate", "w", R"("tenant": "shop")")})});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  EXPECT_TRUE(Call(channel, kDraw, Metadata("w", "somebody")).status.ok());
  EXPECT_THAT(server.server().AwaitLog(1), ElementsAre(HasSubstr(" tenant=shop identity=web")))
      << "the metadata counts for nobody who may not impersonate";
}

TEST(AccessCalls, AreInTheNameOfOthersForThoseWhoMay) {
  SecuredServer server(
      {.list = AccessJson({IdentityJson("gateway", "generate", "g", R"("impersonate": true)")})});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  EXPECT_TRUE(Call(channel, kDraw, Metadata("g", "somebody")).status.ok());
  EXPECT_THAT(server.server().AwaitLog(1),
              ElementsAre(HasSubstr(" tenant=somebody identity=gateway")));
  EXPECT_TRUE(CallWith(channel, kDraw, "g").status.ok());
  EXPECT_THAT(server.server().AwaitLog(2), Contains(HasSubstr(" tenant=gateway identity=gateway")));
}

// gRPC keeps one record of who is at the other end of a connection, for all of its calls.
TEST(AccessCalls, OfOneConnectionHaveEachItsOwnIdentity) {
  SecuredServer server({.list = AccessJson({IdentityJson("one", "generate", "1"),
                                            IdentityJson("two", "generate", "2"),
                                            IdentityJson("reader", "read", "r")})});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  EXPECT_TRUE(CallWith(channel, kDraw, "1").status.ok());
  EXPECT_TRUE(CallWith(channel, kDraw, "2").status.ok());
  EXPECT_EQ(CallWith(channel, kDraw, "r").status.error_code(), Code::PERMISSION_DENIED);
  EXPECT_EQ(CallWith(channel, kDraw, "").status.error_code(), Code::UNAUTHENTICATED);
  EXPECT_THAT(server.server().AwaitLog(4),
              AllOf(Contains(HasSubstr(" identity=one ")), Contains(HasSubstr(" identity=two "))));
}

TEST(AccessCalls, ThatAreRefusedAreLoggedWithTheReasonAndWithoutTheToken) {
  SecuredServer server({.list = AccessJson({IdentityJson("reader", "read", "r")})});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  CallWith(channel, kDraw, "guessed");
  CallWith(channel, kDraw, "r");
  EXPECT_THAT(
      server.server().AwaitLog(2),
      ElementsAre(AllOf(HasSubstr("access method=/diffusiond.v1.DiffusionService/"
                                  "GenerateImages code=UNAUTHENTICATED"),
                        HasSubstr("a token that is not on the list"), Not(HasSubstr("guessed"))),
                  AllOf(HasSubstr("code=PERMISSION_DENIED"), HasSubstr("reader"))));
}

TEST(AccessCalls, ThatAreRefusedAreLoggedWithTheWholeReason) {
  SecuredServer server({.list = AccessJson({IdentityJson("reader", "read", "r")})});
  const std::string name = "spiffe://here/" + std::string(60, 'n');
  CallWith(server.Connect(Port::kClients, server.IssueClient(name)), kDraw, "");
  EXPECT_THAT(server.server().AwaitLog(1),
              ElementsAre(AllOf(HasSubstr(name), HasSubstr("that is not on the list"))));
}

TEST(AccessCalls, WithAnEmptyTokenShowNone) {
  SecuredServer server({.list = AccessJson({IdentityJson("web", "generate", "w")})});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  EXPECT_EQ(Call(channel, kDraw, {{"authorization", "Bearer "}}).status.error_code(),
            Code::UNAUTHENTICATED);
  EXPECT_THAT(server.server().AwaitLog(1),
              ElementsAre(HasSubstr("an authorization that is not one bearer token")));
}

// The default: only the server has a certificate.
TEST(AccessCalls, AreServedWhereNobodyIsAskedForACertificate) {
  SecuredServer server({.list = AccessJson({IdentityJson("web", "generate", "w")}),
                        .client_certificates = ClientCertificates::kNone});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  EXPECT_TRUE(CallWith(channel, kDraw, "w").status.ok());
  EXPECT_EQ(CallWith(channel, kDraw, "").status.error_code(), Code::UNAUTHENTICATED);
}

TEST(AccessCalls, NeedACertificateWithANameWhereOneIsRequired) {
  SecuredServer server({.list = "", .client_certificates = ClientCertificates::kRequire});
  const auto nameless = server.certificates().Issue(server.authority(), {.common_name = "carol"});
  EXPECT_EQ(Call(server.Connect(Port::kClients, nameless), kDraw, {{kTenantMetadata, "somebody"}})
                .status.error_code(),
            Code::UNAUTHENTICATED);
  const auto named = server.IssueClient("spiffe://here/web");
  EXPECT_TRUE(CallWith(server.Connect(Port::kClients, named), kDraw, "").status.ok());
}

TEST(AccessCalls, ThatTheQueueHasNoPlaceForSpendNothingOfTheMinute) {
  SecuredServer server({.list = AccessJson({IdentityJson("web", "generate", "w",
                                                         R"("limits": {"images_per_minute": 2})"),
                                            IdentityJson("other", "generate", "o")}),
                        .puppet = true,
                        .max_queued_images = 1});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  const auto stub = v1::DiffusionService::NewStub(channel);
  grpc::ClientContext first_call;
  first_call.AddMetadata("authorization", "Bearer o");
  const auto first = stub->Generate(&first_call, v1::GenerateRequest());
  v1::GenerateEvent event;
  ASSERT_TRUE(first->Read(&event));
  for (int i = 0; i < 3; ++i) {
    for (const char* method : {kDraw, kStream}) {
      EXPECT_THAT(CallWith(channel, method, "w").status.error_message(),
                  Not(HasSubstr("images a minute")));
    }
  }
  server.server().executor().ReleaseAll();
  while (first->Read(&event)) {
  }
  EXPECT_TRUE(CallWith(channel, kDraw, "w").status.ok());
  EXPECT_TRUE(CallWith(channel, kDraw, "w").status.ok());
  EXPECT_THAT(CallWith(channel, kDraw, "w").status.error_message(), HasSubstr("images a minute"));
}

TEST(AccessCalls, KeepToTheLimitsOfTheirIdentity) {
  SecuredServer server({.list = AccessJson({IdentityJson("web", "generate", "w",
                                                         R"("limits": {"requests_in_flight": 1})"),
                                            IdentityJson("other", "generate", "o")}),
                        .puppet = true});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  const auto stub = v1::DiffusionService::NewStub(channel);
  grpc::ClientContext first_call;
  first_call.AddMetadata("authorization", "Bearer w");
  const auto first = stub->Generate(&first_call, v1::GenerateRequest());
  v1::GenerateEvent event;
  ASSERT_TRUE(first->Read(&event));

  const grpc::Status refused = CallWith(channel, kDraw, "w").status;
  EXPECT_EQ(refused.error_code(), Code::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("'web' may have 1 requests in flight"));
  EXPECT_GT(RetryInfoOf(refused).retry_delay().seconds(), 0);
  EXPECT_TRUE(CallWith(channel, kStream, "o").status.ok()) << "others have their own";
  server.server().executor().ReleaseAll();
  while (first->Read(&event)) {
  }
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_TRUE(CallWith(channel, kDraw, "w").status.ok()) << "what was drawn counts no more";
}

TEST(AccessCalls, WithEndlessHeadersAreRefused) {
  SecuredServer server({.list = AccessJson({IdentityJson("web", "generate", "w")})});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  EXPECT_EQ(CallWith(channel, kDraw, std::string(9000, 'w')).status.error_code(),
            Code::RESOURCE_EXHAUSTED);
}

TEST(AccessCalls, InManyNamesAreOneIdentitys) {
  SecuredServer server(
      {.list = AccessJson({IdentityJson("gateway", "generate", "g", R"("impersonate": true)")})});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(Call(channel, kDraw, Metadata("g", absl::StrCat("invented ", i))).status.ok());
  }
  EXPECT_EQ(server.access().quotas().known(), 1u);
}

TEST(AccessCalls, OfOperatorsAreLoggedWithTheirName) {
  SecuredServer server({.list = AccessJson({IdentityJson("ops", "admin", "o")})});
  const auto channel = server.Connect(Port::kOperators, std::nullopt);
  EXPECT_TRUE(CallWith(channel, "/diffusiond.v1.ModelAdmin/LoadVersion", "o").status.ok());
  EXPECT_THAT(server.admin_log(), ElementsAre(HasSubstr("identity=ops")));
}

struct NameCase {
  const char* name;
  CertificateName kind;
  const char* names;   // In the certificate, whose common name is "carol".
  const char* tenant;  // Empty: the address, for the certificate has no such name.
};

std::ostream& operator<<(std::ostream& out, const NameCase& name) { return out << name.name; }

class CertificateNames : public ::testing::TestWithParam<NameCase> {};

// Without a list: whoever the authority vouches for may draw, in its own name.
TEST_P(CertificateNames, AreTenants) {
  SecuredServer server({.list = "", .certificate_name = GetParam().kind});
  const auto certificate = server.certificates().Issue(
      server.authority(), {.common_name = "carol", .names = GetParam().names});
  const auto channel = server.Connect(Port::kClients, certificate);
  EXPECT_TRUE(Call(channel, kDraw, {{kTenantMetadata, "metadata"}}).status.ok());
  const std::string tenant = GetParam().tenant;
  EXPECT_THAT(server.server().AwaitLog(1),
              ElementsAre(HasSubstr(
                  tenant.empty() ? " tenant=metadata model="
                                 : absl::StrCat(" tenant=", tenant, " identity=", tenant, " "))));
}

INSTANTIATE_TEST_SUITE_P(
    Each, CertificateNames,
    ::testing::Values(NameCase{"Spiffe", CertificateName::kSpiffe,
                               "DNS:shared.example,URI:spiffe://here/web", "spiffe://here/web"},
                      NameCase{"NoSpiffe", CertificateName::kSpiffe,
                               "DNS:shared.example,URI:https://here/web", ""},
                      NameCase{"SpiffeAmongOthers", CertificateName::kSpiffe,
                               "URI:spiffe://here/web,URI:spiffe://here/ops", ""},
                      NameCase{"Uri", CertificateName::kUri,
                               "DNS:shared.example,URI:https://here/web", "https://here/web"},
                      NameCase{"SeveralUris", CertificateName::kUri,
                               "URI:https://here/web,URI:https://here/ops", ""},
                      NameCase{"CommonName", CertificateName::kCommonName,
                               "DNS:shared.example,URI:spiffe://here/web", "carol"},
                      NameCase{"NoUri", CertificateName::kUri, "DNS:shared.example", ""}),
    [](const auto& info) { return std::string(info.param.name); });

// Of all common names gRPC hands on one.
TEST(AccessCalls, WithSeveralCommonNamesAreTheFirsts) {
  SecuredServer server({.list = "", .certificate_name = CertificateName::kCommonName});
  const auto certificate =
      server.certificates().Issue(server.authority(), {.common_name = "carol/CN=dave"});
  EXPECT_TRUE(CallWith(server.Connect(Port::kClients, certificate), kDraw, "").status.ok());
  EXPECT_THAT(server.server().AwaitLog(1), ElementsAre(HasSubstr(" tenant=carol identity=carol")));
}

TEST(AccessCalls, DrainAsTheyDoWithoutTls) {
  SecuredServer server(
      {.list = AccessJson({IdentityJson("web", "generate", "w")}), .puppet = true});
  const auto channel = server.Connect(Port::kClients, std::nullopt);
  const auto stub = v1::DiffusionService::NewStub(channel);
  grpc::ClientContext call;
  call.AddMetadata("authorization", "Bearer w");
  const auto stream = stub->Generate(&call, v1::GenerateRequest());
  v1::GenerateEvent event;
  ASSERT_TRUE(stream->Read(&event));
  server.server().executor().ReleaseAll();
  EXPECT_TRUE(server.server().server().Drain(absl::Now() + absl::Minutes(1)));
  while (stream->Read(&event)) {
  }
  EXPECT_TRUE(stream->Finish().ok()) << "what ran goes on";
  EXPECT_THAT(CallWith(channel, kDraw, "w").status.error_code(),
              AnyOf(Eq(Code::UNAVAILABLE), Eq(Code::CANCELLED)));
}

TEST(Reflection, IsThereUnlessItIsNotWanted) {
  constexpr char kReflect[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  for (const bool reflection : {true, false}) {
    SecuredServer server({.list = "", .reflection = reflection});
    for (const Port port : {Port::kClients, Port::kOperators}) {
      EXPECT_EQ(CallWith(server.Connect(port, std::nullopt), kReflect, "").status.error_code(),
                reflection ? Code::OK : Code::UNIMPLEMENTED);
    }
  }
}

}  // namespace
}  // namespace diffusiond
