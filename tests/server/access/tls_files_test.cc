#include "server/access/tls_files.h"

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/test_certificates.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

// Made once: each costs a few processes.
struct Made {
  TestCertificates maker;
  TestCertificates::Pair authority = maker.MakeAuthority("authority");
  TestCertificates::Pair server = maker.IssueForLoopback(authority);
  TestCertificates::Pair other = maker.IssueForLoopback(authority);
};

Made& All() {
  static Made made;
  return made;
}

TlsFiles GoodFiles() {
  return {.certificate_chain = All().server.certificate,
          .key = All().server.key,
          .client_ca = All().authority.certificate};
}

struct Fault {
  const char* name;
  std::function<void(TlsFiles&)> make;
  absl::Duration later;
  const char* message;
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) { return out << fault.name; }

class TlsFilesFault : public ::testing::TestWithParam<Fault> {};

TEST_P(TlsFilesFault, IsRefusedWithItsFlag) {
  TlsFiles files = GoodFiles();
  GetParam().make(files);
  const absl::Status status = CheckTlsFiles(files, absl::Now() + GetParam().later).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

void Nothing(TlsFiles&) {}

INSTANTIATE_TEST_SUITE_P(
    All, TlsFilesFault,
    ::testing::Values(Fault{"NoCertificate",
                            [](TlsFiles& files) { files.certificate_chain = ""; },
                            {},
                            "--tls_cert: has no certificate (PEM)"},
                      Fault{"TruncatedCertificate",
                            [](TlsFiles& files) { files.certificate_chain.resize(300); },
                            {},
                            "--tls_cert: has a certificate that cannot be read"},
                      Fault{"TruncatedSecondCertificate",
                            [](TlsFiles& files) {
                              files.certificate_chain += All().authority.certificate.substr(0, 300);
                            },
                            {},
                            "--tls_cert: has a certificate that cannot be read"},
                      Fault{"Expired", Nothing, absl::Hours(25), "--tls_cert: expired at 20"},
                      Fault{"NotYetValid", Nothing, -absl::Hours(2),
                            "--tls_cert: is not valid before 20"},
                      Fault{"NoKey",
                            [](TlsFiles& files) { files.key = files.certificate_chain; },
                            {},
                            "--tls_key: has no private key without a password (PEM)"},
                      Fault{"ForeignKey",
                            [](TlsFiles& files) { files.key = All().other.key; },
                            {},
                            "--tls_key: is not the key of --tls_cert's first certificate"},
                      Fault{"EmptyAuthorities",
                            [](TlsFiles& files) { files.client_ca = ""; },
                            {},
                            "--tls_client_ca: has no certificate (PEM)"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(TlsFiles, AnEncryptedKeyIsRefusedWithoutAskingForItsPassword) {
  TlsFiles files = GoodFiles();
  const std::string plain = All().maker.Write("plain.key", files.key);
  ChildProcess openssl(
      {"/usr/bin/env", "openssl", "pkey", "-in", plain, "-aes128", "-passout", "pass:secret"});
  ASSERT_EQ(openssl.Wait(), 0);
  files.key = openssl.output();
  EXPECT_THAT(std::string(CheckTlsFiles(files, absl::Now()).status().message()),
              HasSubstr("--tls_key: has no private key without a password"));
}

TEST(TlsFiles, AKeyTooSmallForOpenSslIsRefused) {
  ChildProcess openssl({"/usr/bin/env", "openssl", "req", "-x509", "-newkey", "rsa:512", "-nodes",
                        "-keyout", "-", "-subj", "/CN=small", "-days", "1"});
  ASSERT_EQ(openssl.Wait(), 0);
  const TlsFiles files = {
      .certificate_chain = openssl.output(), .key = openssl.output(), .client_ca = std::nullopt};
  EXPECT_THAT(std::string(CheckTlsFiles(files, absl::Now()).status().message()),
              HasSubstr("--tls_cert: cannot be served with: ee key too small"));
}

TEST(TlsFiles, ExpireWithTheFirstOfTheirChain) {
  const absl::Time soon = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()) + 600);
  const auto intermediate =
      All().maker.Issue(All().authority, {.common_name = "intermediate", .until = soon});
  TlsFiles files = GoodFiles();
  files.certificate_chain += intermediate.certificate;
  const absl::StatusOr<absl::Time> expiry = CheckTlsFiles(files, absl::Now());
  ASSERT_TRUE(expiry.ok()) << expiry.status();
  EXPECT_EQ(*expiry, soon);
}

}  // namespace
}  // namespace diffusiond
