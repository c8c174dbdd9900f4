// What a server's TLS is made of, judged before a handshake depends on it.
#ifndef DIFFUSIOND_SERVER_ACCESS_TLS_FILES_H_
#define DIFFUSIOND_SERVER_ACCESS_TLS_FILES_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace diffusiond {

// All PEM.
struct TlsFiles {
  std::string certificate_chain;         // The server's own first.
  std::string key;                       // Of the first.
  std::optional<std::string> client_ca;  // Who vouches for clients; absent: nobody is asked.
  // When the first of the chain's certificates to expire does: what CheckTlsFiles says.
  absl::Time expiry = absl::InfiniteFuture();
};

// When the first of the chain's certificates to expire does. INVALID_ARGUMENT, naming the flag:
// what OpenSSL would refuse to serve with, a key of another certificate, one that is encrypted, a
// certificate that is not valid at `now`.
absl::StatusOr<absl::Time> CheckTlsFiles(const TlsFiles& files, absl::Time now);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_TLS_FILES_H_
