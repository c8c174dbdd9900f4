#include "server/metrics/access_instruments.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

class AccessInstrumentsTest : public ::testing::Test {
 protected:
  std::string Page() const { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  prometheus::Registry registry_;
  AccessInstruments metrics_{&registry_};
};

TEST_F(AccessInstrumentsTest, AreThereBeforeAnythingHappens) {
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("diffusiond_tls_certificate_expiry_timestamp_seconds +Inf"));
  EXPECT_THAT(page, HasSubstr("diffusiond_access_files_stale{files=\"tls\"} 0"));
  EXPECT_THAT(page, HasSubstr("diffusiond_access_reloads_total{files=\"access\",outcome="
                              "\"refused\"} 0"));
  EXPECT_THAT(page, HasSubstr("diffusiond_access_refusals_total{code=\"UNAUTHENTICATED\"} 0"));
}

TEST_F(AccessInstrumentsTest, SayWhatIsInUseAndWhatIsRefused) {
  metrics_.OnCertificateExpiry(absl::FromUnixSeconds(1'800'000'000));
  metrics_.OnFilesRefused("tls");
  metrics_.OnAccessRefused("PERMISSION_DENIED");
  EXPECT_THAT(Page(), HasSubstr("diffusiond_tls_certificate_expiry_timestamp_seconds 1800000000"));
  EXPECT_THAT(Page(), HasSubstr("diffusiond_access_files_stale{files=\"tls\"} 1"));
  EXPECT_THAT(Page(), HasSubstr("diffusiond_access_refusals_total{code=\"PERMISSION_DENIED\"} 1"));
  metrics_.OnFilesTaken("tls");
  EXPECT_THAT(Page(), HasSubstr("diffusiond_access_files_stale{files=\"tls\"} 0"));
  EXPECT_THAT(Page(),
              HasSubstr("diffusiond_access_reloads_total{files=\"tls\",outcome=\"taken\"} 1"));
  EXPECT_THAT(Page(),
              HasSubstr("diffusiond_access_reloads_total{files=\"tls\",outcome=\"refused\"} 1"));
}

}  // namespace
}  // namespace diffusiond
