// What is asked of a client's certificate at each of its calls.
#ifndef DIFFUSIOND_SERVER_ACCESS_CERTIFICATE_READER_H_
#define DIFFUSIOND_SERVER_ACCESS_CERTIFICATE_READER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace diffusiond {

// Which name in a certificate is its owner's. One kind only: with several, an issuer that vouches
// for one kind could make up names of another.
enum class CertificateName { kSpiffe, kUri, kCommonName };

struct ClientCertificate {
  std::string uri = {};          // The only one; empty: it has none, or several.
  std::string common_name = {};  // The first; empty: none.
  absl::Time expiry = absl::InfinitePast();

  // The owner's name of that kind, as gRPC tells it of its own connections. Empty: it has none. A
  // SPIFFE id counts if it is the only URI.
  std::string NameOf(CertificateName kind) const;
};

// Of PEM. One that cannot be read has no names and has expired.
ClientCertificate ReadClientCertificate(absl::string_view pem);

// Reads each once: it takes OpenSSL 100 us, and a connection's calls all show the same bytes, of
// which nothing that is read here can change. Thread-safe.
class CertificateReader {
 public:
  // Remembered; one more, and those before are forgotten and read again when they are shown.
  static constexpr size_t kMaxRemembered = 1024;
  // A longer one is read each time. All together take 32 MiB at most.
  static constexpr size_t kMaxRememberedBytes = 16 << 10;

  std::shared_ptr<const ClientCertificate> Get(absl::string_view pem);

  // So many had to be read.
  size_t read() const;

 private:
  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<const ClientCertificate>> remembered_
      ABSL_GUARDED_BY(mu_);
  size_t read_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_CERTIFICATE_READER_H_
