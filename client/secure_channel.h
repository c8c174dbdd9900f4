// How a client proves itself to a server with TLS.
#ifndef DIFFUSIOND_CLIENT_SECURE_CHANNEL_H_
#define DIFFUSIOND_CLIENT_SECURE_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"

namespace diffusiond {

// Paths; each may be empty.
struct SecurityFiles {
  std::string ca = {};           // PEM: who vouches for the server. Empty: whom the system trusts.
  std::string certificate = {};  // PEM: the client's own, and those between it and its authority.
  std::string key = {};          // PEM: its private key.
  std::string token = {};        // Sent with each call, never in plaintext.
};

// TLS for ClientOptions::credentials. Files are read once, here. INVALID_ARGUMENT: a certificate
// without its key, or the reverse; a token that is not one word of printable ASCII; else as
// ReadInputFile. Whether certificates are good shows at the first call.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeTlsCredentials(
    const SecurityFiles& files);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_SECURE_CHANNEL_H_
