// By which certificate the server proves itself, who may call it, and for what.
#ifndef DIFFUSIOND_SERVER_ACCESS_ACCESS_CONTROL_H_
#define DIFFUSIOND_SERVER_ACCESS_ACCESS_CONTROL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/access/access_list.h"
#include "server/access/access_metrics.h"
#include "server/access/certificate_reader.h"
#include "server/access/identity_quotas.h"
#include "server/access/reloaded_files.h"
#include "server/access/tls_files.h"
#include "server/logging/log_record.h"

namespace diffusiond {

// Whether clients are asked for a certificate. One that is presented and does not hold ends the
// connection either way.
enum class ClientCertificates { kNone, kRequest, kRequire };

// What a caller shows of itself. Its certificate was verified in the handshake.
struct Credential {
  std::optional<std::string> token = {};  // Of "authorization: Bearer TOKEN".
  bool malformed = false;                 // An authorization that is not that, or several.
  std::string certificate_name = {};      // Of the kind that is asked for; empty: none.
  std::string certificate = {};           // PEM; empty: none.
};

// The files of both are looked at every second, and used from then on; bad ones are refused and the
// old ones stay (ReloadedFiles). Thread-safe.
class AccessControl {
 public:
  struct Options {
    std::string tls_cert;       // Paths. Empty: no TLS.
    std::string tls_key;        // With tls_cert.
    std::string tls_client_ca;  // Unless client_certificates is kNone.
    ClientCertificates client_certificates = ClientCertificates::kNone;
    CertificateName certificate_name = CertificateName::kSpiffe;
    std::string access_file;                          // Empty: everybody may do everything.
    absl::Duration poll_interval = absl::Seconds(1);  // Infinite: only by Poll.
    std::function<absl::Time()> now = absl::Now;
    LogSink log = nullptr;             // May be unset.
    AccessMetrics* metrics = nullptr;  // Not owned; null: nothing is counted.
  };

  // Without any file.
  static std::unique_ptr<AccessControl> OpenToAll(std::function<absl::Time()> now = absl::Now);

  // Not OK: the first look finds nothing good. Names flag or file.
  static absl::StatusOr<std::unique_ptr<AccessControl>> Load(Options options);
  ~AccessControl();

  // What new handshakes are to use; null: no TLS.
  std::shared_ptr<const TlsFiles> tls() const { return tls_ == nullptr ? nullptr : tls_->Get(); }
  ClientCertificates client_certificates() const { return options_.client_certificates; }
  CertificateName certificate_name() const { return options_.certificate_name; }
  // The owner's, of that kind, in a certificate (PEM); empty: it has none.
  std::string NameIn(absl::string_view certificate) const {
    return certificates_.Get(certificate)->NameOf(options_.certificate_name);
  }
  bool has_list() const { return list_ != nullptr; }

  // Whose the credential is now, if he may. A token, if there is one, decides alone, so that a
  // gateway with a certificate can hand on a client's. Null: nobody is asked, and nobody said.
  // `right` absent: no right opens it. Not OK, with a reason for the log, not for the caller:
  // UNAUTHENTICATED, not on the list, or a certificate that expired since its connection was made;
  // PERMISSION_DENIED, known, without that right.
  absl::StatusOr<std::shared_ptr<const AccessIdentity>> Permit(const Credential& credential,
                                                               std::optional<Right> right) const;

  // Of a tenant, by the list; absent: it says nothing.
  std::optional<double> WeightOf(const std::string& tenant) const;

  IdentityQuotas& quotas() { return quotas_; }
  AccessMetrics& metrics() const { return *options_.metrics; }

  // Looks at the files now.
  void Poll();

 private:
  explicit AccessControl(Options options);
  // Permit without rights and dates.
  absl::StatusOr<std::shared_ptr<const AccessIdentity>> Identify(
      const Credential& credential) const;
  absl::Status LoadTls();
  absl::Status LoadList();
  void PollUntilStopped();

  AccessMetrics no_metrics_;
  const Options options_;
  IdentityQuotas quotas_;
  mutable CertificateReader certificates_;
  std::unique_ptr<ReloadedFiles<TlsFiles>> tls_;     // Null: no TLS.
  std::unique_ptr<ReloadedFiles<AccessList>> list_;  // Null: everybody may do everything.
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_ACCESS_CONTROL_H_
