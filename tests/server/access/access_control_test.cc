#include "server/access/access_control.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/files/sha256.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/test_certificates.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RecordingMetrics : public AccessMetrics {
 public:
  void OnFilesTaken(const std::string& files) override { Add(files + " taken"); }
  void OnFilesRefused(const std::string& files) override { Add(files + " refused"); }
  void OnCertificateExpiry(absl::Time expiry) override {
    absl::MutexLock lock(&mu_);
    expiry_ = expiry;
  }

  std::vector<std::string> seen() {
    absl::MutexLock lock(&mu_);
    return seen_;
  }
  absl::Time expiry() {
    absl::MutexLock lock(&mu_);
    return expiry_;
  }
  void AwaitSeen(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return seen_.size() >= count; };
    mu_.Await(absl::Condition(&enough));
  }

 private:
  void Add(std::string what) {
    absl::MutexLock lock(&mu_);
    seen_.push_back(std::move(what));
  }

  absl::Mutex mu_;
  std::vector<std::string> seen_ ABSL_GUARDED_BY(mu_);
  absl::Time expiry_ ABSL_GUARDED_BY(mu_);
};

std::string ListOf(const std::string& name, const std::string& token) {
  return absl::StrCat(R"({"identities": [{"name": ")", name, R"(", "rights": ["generate"],
      "token_sha256": [")",
                      Sha256Hex(token), R"("], "certificates": ["spiffe://here/)", name,
                      R"("]}]})");
}

class AccessControlTest : public ::testing::Test {
 protected:
  AccessControl::Options OptionsWithList(const std::string& list) {
    AccessControl::Options options;
    options.access_file = maker_.Write("access.json", list);
    options.poll_interval = absl::InfiniteDuration();
    options.log = [this](const LogRecord& record) { log_.push_back(record.Text()); };
    options.metrics = &metrics_;
    return options;
  }

  AccessControl::Options OptionsWithTls(const TestCertificates::Pair& server) {
    AccessControl::Options options = OptionsWithList("");
    options.access_file.clear();
    options.tls_cert = maker_.Write("tls.crt", server.certificate);
    options.tls_key = maker_.Write("tls.key", server.key);
    return options;
  }

  // "web", or the error's code.
  static std::string NameOf(const AccessControl& control, const Credential& credential) {
    const auto identity = control.Permit(credential, Right::kGenerate);
    if (!identity.ok()) return absl::StatusCodeToString(identity.status().code());
    return *identity == nullptr ? "nobody" : (*identity)->name;
  }

  TestCertificates maker_;
  RecordingMetrics metrics_;
  std::vector<std::string> log_;
};

TEST_F(AccessControlTest, WithoutFilesEverybodyMayDoEverything) {
  const auto control = *AccessControl::Load({});
  EXPECT_EQ(control->tls(), nullptr);
  EXPECT_EQ(NameOf(*control, {}), "nobody");
  EXPECT_TRUE(control->Permit({}, Right::kAdmin).ok());
  EXPECT_TRUE(control->Permit({}, std::nullopt).ok());
}

TEST_F(AccessControlTest, ATokenOnTheListHasItsRightsAndNoMore) {
  const auto control = *AccessControl::Load(OptionsWithList(ListOf("web", "t")));
  const Credential web = {.token = "t"};
  EXPECT_TRUE(control->Permit(web, Right::kGenerate).ok());
  EXPECT_EQ(control->Permit(web, Right::kRead).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(control->Permit(web, std::nullopt).status().code(),
            absl::StatusCode::kPermissionDenied);
  for (const Credential& wrong :
       {Credential{}, Credential{.token = "u"}, Credential{.token = "t", .malformed = true},
        Credential{.token = ""}}) {
    EXPECT_EQ(control->Permit(wrong, Right::kGenerate).status().code(),
              absl::StatusCode::kUnauthenticated);
  }
}

TEST_F(AccessControlTest, ACertificateCountsUntilItExpiresAndATokenBeforeIt) {
  FakeClock clock;
  const TestCertificates::Pair authority = maker_.MakeAuthority("authority");
  const std::string certificate =
      maker_.Issue(authority, {.common_name = "web", .until = clock.Now() + absl::Hours(1)})
          .certificate;
  AccessControl::Options options = OptionsWithList(ListOf("web", "t"));
  options.now = clock.AsFunction();
  const auto control = *AccessControl::Load(options);

  Credential credential = {.certificate_name = "spiffe://here/web", .certificate = certificate};
  EXPECT_EQ(NameOf(*control, credential), "web");
  credential.token = "wrong";
  EXPECT_EQ(NameOf(*control, credential), "UNAUTHENTICATED") << "a token decides alone";
  credential.token.reset();
  credential.certificate_name = "spiffe://here/ops";
  EXPECT_EQ(NameOf(*control, credential), "UNAUTHENTICATED");
  credential.certificate_name = "spiffe://here/web";
  EXPECT_TRUE(control->Permit(credential, Right::kGenerate).ok());
  clock.Advance(absl::Hours(2));
  EXPECT_EQ(control->Permit(credential, Right::kGenerate).status().code(),
            absl::StatusCode::kUnauthenticated);
  credential.token = "t";
  EXPECT_TRUE(control->Permit(credential, Right::kGenerate).ok());
}

TEST_F(AccessControlTest, WithoutAListACertificateIsAnIdentity) {
  const TestCertificates::Pair authority = maker_.MakeAuthority("authority");
  const auto control = *AccessControl::Load({});
  const Credential web = {.certificate_name = "spiffe://here/web",
                          .certificate = authority.certificate};
  EXPECT_EQ(NameOf(*control, web), "spiffe://here/web");
  EXPECT_TRUE(control->Permit(web, Right::kGenerate).ok());
  EXPECT_EQ(
      control->Permit({.certificate_name = "spiffe://here/web"}, Right::kGenerate).status().code(),
      absl::StatusCode::kUnauthenticated)
      << "a name without a certificate";
}

TEST_F(AccessControlTest, WithoutAListARequiredCertificateHasAName) {
  AccessControl::Options options;
  options.client_certificates = ClientCertificates::kRequire;
  EXPECT_EQ(NameOf(**AccessControl::Load(options), {}), "UNAUTHENTICATED");
  options.client_certificates = ClientCertificates::kRequest;
  EXPECT_EQ(NameOf(**AccessControl::Load(options), {}), "nobody");
}

TEST_F(AccessControlTest, AListIsReadAgainAndABadOneRefused) {
  const auto control = *AccessControl::Load(OptionsWithList(ListOf("web", "t")));
  control->Poll();
  EXPECT_THAT(log_, IsEmpty()) << "nothing has changed";

  maker_.Write("access.json", ListOf("other", "u"));
  control->Poll();
  EXPECT_EQ(NameOf(*control, {.token = "u"}), "other");
  EXPECT_EQ(NameOf(*control, {.token = "t"}), "UNAUTHENTICATED");
  EXPECT_THAT(log_, ElementsAre("files files=access state=reloaded"));

  maker_.Write("access.json", "{");
  control->Poll();
  control->Poll();
  EXPECT_EQ(NameOf(*control, {.token = "u"}), "other") << "the old one serves on";
  std::filesystem::remove(maker_.directory() / "access.json");
  control->Poll();
  EXPECT_EQ(NameOf(*control, {.token = "u"}), "other");
  maker_.Write("access.json", ListOf("other", "u"));
  control->Poll();
  EXPECT_THAT(log_,
              ElementsAre("files files=access state=reloaded",
                          AllOf(HasSubstr("state=refused in_use=\"what was read before\""),
                                HasSubstr("access.json: is not JSON")),
                          HasSubstr("No such file"), "files files=access state=\"as before\""));
  EXPECT_THAT(metrics_.seen(),
              ElementsAre("access taken", "access refused", "access refused", "access taken"));
}

TEST_F(AccessControlTest, CertificatesAreReadAgainAndBadOnesRefused) {
  const TestCertificates::Pair authority = maker_.MakeAuthority("authority");
  const absl::Time late = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()) + 7 * 86'400);
  const TestCertificates::Pair first = maker_.IssueForLoopback(authority);
  const TestCertificates::Pair second =
      maker_.Issue(authority, {.common_name = "second", .until = late});
  const auto control = *AccessControl::Load(OptionsWithTls(first));
  EXPECT_EQ(control->tls()->certificate_chain, first.certificate);

  maker_.Write("tls.crt", second.certificate);
  control->Poll();
  EXPECT_EQ(control->tls()->certificate_chain, first.certificate) << "its key is not there yet";
  maker_.Write("tls.key", second.key);
  control->Poll();
  EXPECT_EQ(control->tls()->certificate_chain, second.certificate);
  EXPECT_EQ(control->tls()->key, second.key);
  EXPECT_EQ(metrics_.expiry(), late);
  EXPECT_THAT(metrics_.seen(), ElementsAre("tls refused", "tls taken"));
  EXPECT_THAT(
      log_, ElementsAre(HasSubstr("--tls_key: is not the key"), "files files=tls state=reloaded"));
}

TEST_F(AccessControlTest, ACertificateThatWasTooNewIsTakenWhenItIsValid) {
  FakeClock clock;
  const TestCertificates::Pair authority = maker_.MakeAuthority("authority");
  const absl::Time now = clock.Now();
  const auto valid = [&](absl::Duration from) {
    return maker_.Issue(
        authority, {.common_name = "server", .from = now + from, .until = now + absl::Hours(48)});
  };
  AccessControl::Options options = OptionsWithTls(valid(absl::ZeroDuration()));
  options.now = clock.AsFunction();
  const auto control = *AccessControl::Load(options);
  const TestCertificates::Pair next = valid(absl::Hours(1));
  maker_.Write("tls.crt", next.certificate);
  maker_.Write("tls.key", next.key);
  control->Poll();
  EXPECT_NE(control->tls()->key, next.key);
  clock.Advance(absl::Hours(2));
  control->Poll();
  EXPECT_EQ(control->tls()->key, next.key);
}

TEST_F(AccessControlTest, LooksByItself) {
  AccessControl::Options options = OptionsWithList(ListOf("web", "t"));
  options.poll_interval = absl::Milliseconds(1);
  options.log = nullptr;
  const auto control = *AccessControl::Load(options);
  maker_.Write("access.json", ListOf("other", "u"));
  metrics_.AwaitSeen(1);
  EXPECT_EQ(NameOf(*control, {.token = "u"}), "other");
}

TEST_F(AccessControlTest, NothingGoodToBeginWithIsNoStart) {
  EXPECT_THAT(std::string(AccessControl::Load(OptionsWithList("{}")).status().message()),
              HasSubstr("access.json: identities: expected a list"));
  EXPECT_FALSE(AccessControl::Load(OptionsWithTls({"", ""})).ok());
  AccessControl::Options pipe = OptionsWithList("");
  pipe.access_file = "/dev/null";
  EXPECT_THAT(std::string(AccessControl::Load(pipe).status().message()),
              HasSubstr("--access_file: /dev/null: is no regular file"));
}

TEST_F(AccessControlTest, AFileOfNoSaneLengthIsRefused) {
  const AccessControl::Options options = OptionsWithList(std::string(kMaxAccessFileBytes + 1, ' '));
  EXPECT_THAT(std::string(AccessControl::Load(options).status().message()),
              HasSubstr("has more than the 1048576 bytes"));
}

}  // namespace
}  // namespace diffusiond
