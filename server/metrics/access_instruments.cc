#include "server/metrics/access_instruments.h"

#include <limits>

namespace diffusiond {

AccessInstruments::AccessInstruments(prometheus::Registry* registry)
    : reloads_(prometheus::BuildCounter()
                   .Name("diffusiond_access_reloads_total")
                   .Help("Looks that found other files, by files (tls, access) and outcome.")
                   .Register(*registry)),
      stale_(
          prometheus::BuildGauge()
              .Name("diffusiond_access_files_stale")
              .Help("1 while the files on disk (tls, access) are refused and older ones are used.")
              .Register(*registry)),
      refusals_(prometheus::BuildCounter()
                    .Name("diffusiond_access_refusals_total")
                    .Help("Calls refused before a service saw them, by gRPC status code.")
                    .Register(*registry)),
      expiry_(
          prometheus::BuildGauge()
              .Name("diffusiond_tls_certificate_expiry_timestamp_seconds")
              .Help("Unix time at which the certificate of --tls_cert expires; +Inf without TLS.")
              .Register(*registry)
              .Add({})) {
  expiry_.Set(std::numeric_limits<double>::infinity());
  for (const char* files : {"tls", "access"}) {
    for (const char* outcome : {"taken", "refused"}) {
      reloads_.Add({{"files", files}, {"outcome", outcome}});
    }
    stale_.Add({{"files", files}});
  }
  for (const char* code : {"UNAUTHENTICATED", "PERMISSION_DENIED"}) refusals_.Add({{"code", code}});
}

void AccessInstruments::OnFilesTaken(const std::string& files) {
  reloads_.Add({{"files", files}, {"outcome", "taken"}}).Increment();
  stale_.Add({{"files", files}}).Set(0);
}

void AccessInstruments::OnFilesRefused(const std::string& files) {
  reloads_.Add({{"files", files}, {"outcome", "refused"}}).Increment();
  stale_.Add({{"files", files}}).Set(1);
}

void AccessInstruments::OnCertificateExpiry(absl::Time expiry) {
  expiry_.Set(static_cast<double>(absl::ToUnixSeconds(expiry)));
}

void AccessInstruments::OnAccessRefused(const std::string& code) {
  refusals_.Add({{"code", code}}).Increment();
}

}  // namespace diffusiond
