#include "server/access/access_list.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/files/sha256.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNull;
using ::testing::NotNull;
using ::testing::Optional;

std::string FaultOf(const std::string& json) {
  return std::string(AccessList::Parse(json).status().message());
}

TEST(AccessList, SaysWhoMayDoWhat) {
  const std::string hash = Sha256Hex("the token");
  const absl::StatusOr<AccessList> list =
      AccessList::Parse(absl::StrCat(R"({"identities": [
      {"name": "web", "tenant": "shop", "rights": ["generate", "read"], "impersonate": true,
       "weight": 2.5, "token_sha256": [")",
                                     Sha256Hex("old"), R"(", ")", hash, R"("],
       "limits": {"requests_in_flight": 3, "images_waiting": 12, "images_per_minute": 600}},
      {"name": "ops", "rights": ["admin"], "certificates": ["spiffe://here/ops"]}]})"));
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->size(), 2u);

  const auto web = list->FindByToken("the token");
  ASSERT_THAT(web, NotNull());
  EXPECT_EQ(web->name, "web");
  EXPECT_EQ(web->tenant, "shop");
  EXPECT_THAT(web->rights, ElementsAre(Right::kGenerate, Right::kRead));
  EXPECT_TRUE(web->impersonate);
  EXPECT_THAT(web->limits.requests_in_flight, Optional(3));
  EXPECT_THAT(web->limits.images_waiting, Optional(12));
  EXPECT_THAT(web->limits.images_per_minute, Optional(600));
  EXPECT_EQ(list->FindByToken("old"), web);
  EXPECT_THAT(list->WeightOf("shop"), Optional(2.5));
  EXPECT_EQ(list->WeightOf("web"), std::nullopt);

  const auto ops = list->FindByCertificate("spiffe://here/ops");
  ASSERT_THAT(ops, NotNull());
  EXPECT_EQ(ops->tenant, "ops") << "the name, unless the file says otherwise";
  EXPECT_FALSE(ops->impersonate);
  EXPECT_EQ(ops->limits.images_waiting, std::nullopt);
}

TEST(AccessList, KnowsNobodyElse) {
  const std::string hash = Sha256Hex("the token");
  const AccessList list = *AccessList::Parse(absl::StrCat(
      R"({"identities": [{"name": "web", "rights": [], "token_sha256": [")", hash, R"("],
          "certificates": ["spiffe://here/web"]}]})"));
  EXPECT_THAT(list.FindByToken(""), IsNull());
  EXPECT_THAT(list.FindByToken("the tokens"), IsNull());
  EXPECT_THAT(list.FindByToken(hash), IsNull()) << "what is in the file is no credential";
  EXPECT_THAT(list.FindByCertificate("spiffe://here/web2"), IsNull());
  EXPECT_THAT(list.FindByCertificate("web"), IsNull());
  EXPECT_THAT(AccessList::Parse(R"({"identities": []})")->FindByToken("the token"), IsNull());
}

struct Fault {
  const char* name;
  const char* identity;  // AAAA: the first one's hash; EEEE: that of "".
  const char* message;
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) { return out << fault.name; }

class AccessListFault : public ::testing::TestWithParam<Fault> {};

TEST_P(AccessListFault, IsNamedByItsPath) {
  const std::string json = absl::StrReplaceAll(
      absl::StrCat(R"({"identities": [{"name": "first", "tenant": "t", "weight": 2,
                       "token_sha256": ["AAAA"], "certificates": ["one"]}, )",
                   GetParam().identity, "]}"),
      {{"AAAA", Sha256Hex("a")}, {"EEEE", Sha256Hex("")}});
  EXPECT_THAT(FaultOf(json), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, AccessListFault,
    ::testing::Values(
        Fault{"NoObject", R"("web")", "identities[1].expected an object, found string"},
        Fault{"UnknownField", R"({"name": "a", "right": []})",
              "identities[1].unknown field 'right'"},
        Fault{"UnknownLimit", R"({"name": "a", "limits": {"images": 3}})",
              "identities[1].limits.unknown field 'images'"},
        Fault{"UnknownRight", R"({"name": "a", "rights": ["write"]})",
              "identities[1].rights has 'write', expected generate, read or admin"},
        Fault{"WrongType", R"({"name": "a", "impersonate": "yes"})",
              "identities[1].impersonate: expected true or false"},
        Fault{"NoName", R"({"rights": []})", "identities[1].name is '', expected 1 .. 128"},
        Fault{"NameTwice", R"({"name": "first"})",
              "identities[1].name is 'first', as another identity's"},
        Fault{"EmptyTenant", R"({"name": "a", "tenant": ""})", "identities[1].tenant is ''"},
        Fault{"TokenItself", R"({"name": "a", "token_sha256": ["diffusiond_secret"]})",
              "identities[1].token_sha256 has an entry of 17 characters, expected 64"},
        Fault{"NoToken", R"({"name": "a", "token_sha256": ["EEEE"]})",
              "identities[1].token_sha256 has an entry that is the hash of no token"},
        Fault{"FieldTwice", R"({"name": "a", "rights": [], "tenant": "b", "rights": ["admin"]})",
              "an object has the field 'rights' twice"},
        Fault{"LimitTwice",
              R"({"name": "a", "limits": {"images_waiting": 1, "images_waiting": 9}})",
              "an object has the field 'images_waiting' twice"},
        Fault{"TokenTwice", R"({"name": "a", "token_sha256": ["AAAA"]})",
              "identities[1].token_sha256 has an entry that 'first' has, too"},
        Fault{"CertificateTwice", R"({"name": "a", "certificates": ["one"]})",
              "identities[1].certificates has 'one', as 'first' has"},
        Fault{"EmptyCertificate", R"({"name": "a", "certificates": [""]})",
              "identities[1].certificates has an empty name"},
        Fault{"Weight", R"({"name": "a", "weight": 0})", "identities[1].weight is 0, expected"},
        Fault{"WeightsDiffer", R"({"name": "a", "tenant": "t", "weight": 1})",
              "identities[1].weight is 1, but another identity of tenant 't' has 2"},
        Fault{"Limit", R"({"name": "a", "limits": {"images_waiting": 0}})",
              "identities[1].limits.images_waiting is 0, expected 1 .. 1000000"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(AccessList, OfAnotherShapeIsRefused) {
  EXPECT_THAT(FaultOf("{"), HasSubstr("is not JSON"));
  EXPECT_THAT(FaultOf("{}"), HasSubstr("identities: expected a list"));
  EXPECT_THAT(FaultOf(R"({"identities": [], "tokens": []})"), HasSubstr("unknown field 'tokens'"));
}

TEST(AccessList, DoesNotShowWhatMayBeAToken) {
  for (const char* hashes :
       {R"(["secret"])", R"("secret")", R"([7, "secret"])", R"(["secret)", R"(["a" "secret"])"}) {
    EXPECT_THAT(
        FaultOf(absl::StrCat(R"({"identities": [{"name": "a", "token_sha256": )", hashes, "}]}")),
        AllOf(Not(IsEmpty()), Not(HasSubstr("secret"))));
  }
}

TEST(AccessList, HasNoMoreTokensThanACallMayLookAt) {
  std::string tokens;
  for (size_t i = 0; i <= AccessList::kMaxTokens; ++i) {
    absl::StrAppend(&tokens, i == 0 ? "" : ",", "\"", Sha256Hex(absl::StrCat(i)), "\"");
  }
  EXPECT_THAT(
      FaultOf(absl::StrCat(R"({"identities": [{"name": "a", "token_sha256": [)", tokens, "]}]}")),
      HasSubstr("more than 1000 tokens in all"));
}

}  // namespace
}  // namespace diffusiond
