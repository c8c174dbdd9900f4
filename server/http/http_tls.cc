#include "server/http/http_tls.h"

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace diffusiond {
namespace {

TlsIdentity::ClientCertificates Asked(ClientCertificates choice) {
  switch (choice) {
    case ClientCertificates::kNone:
      break;
    case ClientCertificates::kRequest:
      return TlsIdentity::ClientCertificates::kRequested;
    case ClientCertificates::kRequire:
      return TlsIdentity::ClientCertificates::kRequired;
  }
  return TlsIdentity::ClientCertificates::kNone;
}

// The same identity for as long as the files are the same: a new one is a new context of OpenSSL's.
class Source {
 public:
  explicit Source(const AccessControl* access) : access_(access) {}

  std::shared_ptr<const TlsIdentity> Get() {
    std::shared_ptr<const TlsFiles> files = access_->tls();
    absl::MutexLock lock(&mu_);
    if (files != files_) {
      files_ = std::move(files);
      identity_ = std::make_shared<const TlsIdentity>(
          TlsIdentity{.certificate_chain = files_->certificate_chain,
                      .key = files_->key,
                      .client_authorities = files_->client_ca.value_or(""),
                      .client_certificates = Asked(access_->client_certificates())});
    }
    return identity_;
  }

 private:
  const AccessControl* const access_;
  absl::Mutex mu_;
  std::shared_ptr<const TlsFiles> files_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const TlsIdentity> identity_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

TlsIdentitySource HttpTlsOf(const AccessControl& access) {
  if (access.tls() == nullptr) return {};
  return [source = std::make_shared<Source>(&access)] { return source->Get(); };
}

}  // namespace diffusiond
