// TLS of the HTTP server by the files that gRPC's comes from.
#ifndef DIFFUSIOND_SERVER_HTTP_HTTP_TLS_H_
#define DIFFUSIOND_SERVER_HTTP_HTTP_TLS_H_

#include "model/http/tls_identity.h"
#include "server/access/access_control.h"

namespace diffusiond {

// What the files say now, at each connection; empty without TLS. `access` outlives the source.
TlsIdentitySource HttpTlsOf(const AccessControl& access);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_HTTP_TLS_H_
