#include "server/access_flags.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/process/listening_sockets.h"

namespace diffusiond {
namespace {

bool ParseClientAuth(absl::string_view word, ClientCertificates* choice) {
  if (word == "none") *choice = ClientCertificates::kNone;
  if (word == "request") *choice = ClientCertificates::kRequest;
  if (word == "require") *choice = ClientCertificates::kRequire;
  return word == "none" || word == "request" || word == "require";
}

bool ParseIdentity(absl::string_view word, CertificateName* choice) {
  if (word == "spiffe") *choice = CertificateName::kSpiffe;
  if (word == "uri") *choice = CertificateName::kUri;
  if (word == "common_name") *choice = CertificateName::kCommonName;
  return word == "spiffe" || word == "uri" || word == "common_name";
}

}  // namespace

std::vector<std::string> CheckAccessFlags(const ServerFlags& flags,
                                          AccessControl::Options* options) {
  std::vector<std::string> faults;
  options->tls_cert = flags.tls_cert;
  options->tls_key = flags.tls_key;
  options->tls_client_ca = flags.tls_client_ca;
  options->access_file = flags.access_file;
  if (!ParseClientAuth(flags.tls_client_auth, &options->client_certificates)) {
    faults.push_back(absl::StrCat("--tls_client_auth is \"", flags.tls_client_auth,
                                  "\", allowed: none, request or require"));
  }
  if (!ParseIdentity(flags.tls_identity, &options->certificate_name)) {
    faults.push_back(absl::StrCat("--tls_identity is \"", flags.tls_identity,
                                  "\", allowed: spiffe, uri or common_name"));
  }
  const auto needs = [&faults](bool set, absl::string_view flag, bool other_set,
                               absl::string_view other, absl::string_view why) {
    if (set && !other_set)
      faults.push_back(absl::StrCat("--", flag, " needs --", other, ": ", why));
  };
  const bool tls = !flags.tls_cert.empty();
  const bool asks = options->client_certificates != ClientCertificates::kNone;
  needs(tls, "tls_cert", !flags.tls_key.empty(), "tls_key", "a certificate proves nothing without");
  needs(!flags.tls_key.empty(), "tls_key", tls, "tls_cert", "it is that certificate's");
  needs(asks, "tls_client_auth", tls, "tls_cert", "certificates are shown in TLS alone");
  needs(asks, "tls_client_auth", !flags.tls_client_ca.empty(), "tls_client_ca",
        "it names who vouches for clients");
  needs(!flags.tls_client_ca.empty(), "tls_client_ca", asks, "tls_client_auth",
        "request or require, or no client is asked for a certificate");
  needs(!flags.access_file.empty(), "access_file", tls, "tls_cert",
        "tokens in plaintext are everybody's");
  needs(flags.metrics_tls, "metrics_tls", tls, "tls_cert", "there is no TLS without");
  if (!flags.admin_listen.empty() && flags.access_file.empty() && !IsLoopback(flags.admin_listen)) {
    faults.push_back(
        absl::StrCat("--admin_listen is \"", flags.admin_listen,
                     "\", allowed: a loopback address, unless --tls_cert and --access_file say who "
                     "may swap models"));
  }
  return faults;
}

}  // namespace diffusiond
