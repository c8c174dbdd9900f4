#include "server/access/certificate_reader.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/test_certificates.h"

namespace diffusiond {
namespace {

class CertificateReaderTest : public ::testing::Test {
 protected:
  std::string Issue(const TestCertificates::Subject& subject) {
    return maker_.Issue(authority_, subject).certificate;
  }

  TestCertificates maker_;
  TestCertificates::Pair authority_ = maker_.MakeAuthority("authority");
  CertificateReader reader_;
};

TEST_F(CertificateReaderTest, TellsOneNameOfEachKind) {
  struct Case {
    const char* common_name;
    const char* names;
    const char* spiffe;
    const char* uri;
  };
  for (const Case& one :
       {Case{"web", "", "", ""},
        {"web", "URI:spiffe://here/web", "spiffe://here/web", "spiffe://here/web"},
        {"web", "DNS:a,URI:https://here/web", "", "https://here/web"},
        {"web", "URI:spiffe://here/web,URI:https://here/web", "", ""},
        {"web", "URI:spiffe://here/web,URI:spiffe://here/ops", "", ""}}) {
    const auto read = reader_.Get(Issue({.common_name = one.common_name, .names = one.names}));
    EXPECT_EQ(read->NameOf(CertificateName::kSpiffe), one.spiffe) << one.names;
    EXPECT_EQ(read->NameOf(CertificateName::kUri), one.uri) << one.names;
    EXPECT_EQ(read->NameOf(CertificateName::kCommonName), one.common_name) << one.names;
  }
}

TEST_F(CertificateReaderTest, WhatCannotBeReadHasNoNameAndHasExpired) {
  std::string torn = Issue({.common_name = "web", .names = "URI:spiffe://here/web"});
  torn[torn.size() / 2] = '!';
  for (const std::string& pem : {std::string(), std::string("none"), torn}) {
    const auto read = reader_.Get(pem);
    EXPECT_EQ(read->expiry, absl::InfinitePast()) << pem;
    EXPECT_EQ(read->NameOf(CertificateName::kUri), "") << pem;
    EXPECT_EQ(read->NameOf(CertificateName::kCommonName), "") << pem;
  }
}

TEST_F(CertificateReaderTest, ReadsTheSameBytesOnceAndOthersForThemselves) {
  const absl::Time until = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()) + 600);
  const std::string web = Issue({.common_name = "web", .until = until});
  const std::string renewed = Issue({.common_name = "web", .until = until + absl::Hours(1)});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(reader_.Get(web)->expiry, until);
    EXPECT_EQ(reader_.Get(renewed)->expiry, until + absl::Hours(1));
  }
  EXPECT_EQ(reader_.read(), 2u);
}

TEST_F(CertificateReaderTest, RemembersNoMoreThanItsLimits) {
  const size_t most = CertificateReader::kMaxRemembered;
  const auto get = [this](size_t number) { reader_.Get(absl::StrCat("stranger ", number)); };
  for (size_t i = 0; i < most; ++i) get(i);
  for (size_t i = 0; i < most; ++i) get(i);
  EXPECT_EQ(reader_.read(), most);
  get(most);  // In the place of all before.
  for (size_t i = 0; i < most; ++i) get(i);
  EXPECT_GT(reader_.read(), 2 * most);

  const size_t before = reader_.read();
  const std::string longest(CertificateReader::kMaxRememberedBytes, 'x');
  for (int i = 0; i < 3; ++i) reader_.Get(longest);
  EXPECT_EQ(reader_.read(), before + 1);
  for (int i = 0; i < 3; ++i) reader_.Get(longest + "x");
  EXPECT_EQ(reader_.read(), before + 4);
}

}  // namespace
}  // namespace diffusiond
