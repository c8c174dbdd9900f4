// What a server of HTTP proves itself by, and what it asks of its clients.
#ifndef DIFFUSIOND_MODEL_HTTP_TLS_IDENTITY_H_
#define DIFFUSIOND_MODEL_HTTP_TLS_IDENTITY_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.

namespace diffusiond {

struct TlsIdentity {
  enum class ClientCertificates {
    kNone,       // Not asked for.
    kRequested,  // A client may have none; one that it has is vouched for.
    kRequired,
  };

  // All PEM.
  std::string certificate_chain;        // The server's own first.
  std::string key;                      // Of the first; without a password.
  std::string client_authorities = {};  // Who vouches for clients.
  ClientCertificates client_certificates = ClientCertificates::kNone;
};

// Asked at each new connection, on the server's threads: the next connection has what it says then.
// Another pointer is another identity. nullptr: nobody can be served, and the connection is closed.
using TlsIdentitySource = std::function<std::shared_ptr<const TlsIdentity>()>;

// TLS 1.2 and newer, without renegotiation; sessions are not resumed, so that each handshake asks
// for what holds then; ALPN http/1.1. INVALID_ARGUMENT: OpenSSL cannot serve with it.
absl::StatusOr<std::shared_ptr<ssl_ctx_st>> MakeTlsContext(const TlsIdentity& identity);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_TLS_IDENTITY_H_
