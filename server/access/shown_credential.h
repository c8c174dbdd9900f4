// What callers show, in whatever protocol, as a Credential.
#ifndef DIFFUSIOND_SERVER_ACCESS_SHOWN_CREDENTIAL_H_
#define DIFFUSIOND_SERVER_ACCESS_SHOWN_CREDENTIAL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/access/access_control.h"

namespace diffusiond {

// The value of one "authorization", of which there may be several.
void AddAuthorization(absl::string_view value, Credential& credential);

// The owner's name of that kind in a certificate (PEM), as gRPC tells it of its own connections.
// Empty: it has none, or, of URIs, several; a SPIFFE id counts if it is the only URI.
std::string NameInCertificate(absl::string_view pem, CertificateName kind);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_SHOWN_CREDENTIAL_H_
