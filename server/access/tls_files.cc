#include "server/access/tls_files.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/process/openssl_pointer.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Bio = OpenSslPointer<BIO, BIO_free>;
using Certificate = OpenSslPointer<X509, X509_free>;
using Key = OpenSslPointer<EVP_PKEY, EVP_PKEY_free>;
using Context = OpenSslPointer<SSL_CTX, SSL_CTX_free>;

// OpenSSL remembers errors by thread, and gRPC's handshakes on this thread would find ours.
auto ForgetErrors() {
  return absl::Cleanup([] { ERR_clear_error(); });
}

absl::Status OpenSslError(absl::string_view what) {
  const unsigned long code = ERR_peek_last_error();  // NOLINT(google-runtime-int): OpenSSL's.
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return absl::InvalidArgumentError(
      absl::StrCat(what, reason == nullptr ? "" : absl::StrCat(": ", reason)));
}

Bio BioOf(absl::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// All that stand in the text, one at least.
absl::StatusOr<std::vector<Certificate>> ParseCertificates(absl::string_view pem) {
  const Bio bio = BioOf(pem);
  std::vector<Certificate> certificates;
  while (Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    certificates.push_back(std::move(certificate));
  }
  // How it says that there is no more.
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
    return OpenSslError("has a certificate that cannot be read");
  }
  if (certificates.empty()) return absl::InvalidArgumentError("has no certificate (PEM)");
  ERR_clear_error();
  return certificates;
}

absl::StatusOr<Key> ParseKey(absl::string_view pem) {
  const Bio bio = BioOf(pem);
  // OpenSSL's own way to learn a password is to ask at the terminal.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr) return OpenSslError("has no private key without a password (PEM)");
  return key;
}

absl::StatusOr<absl::Time> TimeOf(const ASN1_TIME* time) {
  tm fields = {};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return OpenSslError("has a date that is none");
  return absl::FromTM(fields, absl::UTCTimeZone());
}

absl::StatusOr<absl::Time> ValidUntil(const X509* certificate, absl::Time now) {
  ASSIGN_OR_RETURN(const absl::Time from, TimeOf(X509_get0_notBefore(certificate)));
  ASSIGN_OR_RETURN(const absl::Time until, TimeOf(X509_get0_notAfter(certificate)));
  const auto shown = [](absl::Time time) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
  };
  if (now < from)
    return absl::InvalidArgumentError(absl::StrCat("is not valid before ", shown(from)));
  if (now > until) return absl::InvalidArgumentError(absl::StrCat("expired at ", shown(until)));
  return until;
}

absl::Status OfFlag(absl::string_view flag, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("--", flag, ": ", status.message()));
}

// The questions that gRPC's handshakes ask, key sizes too small for OpenSSL's level included.
absl::Status CheckServes(X509* certificate, EVP_PKEY* key) {
  const Context context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return OpenSslError("no TLS");
  if (SSL_CTX_use_certificate(context.get(), certificate) != 1) {
    return OfFlag("tls_cert", OpenSslError("cannot be served with"));
  }
  if (X509_check_private_key(certificate, key) != 1) {
    return absl::InvalidArgumentError(
        "--tls_key: is not the key of --tls_cert's first certificate");
  }
  if (SSL_CTX_use_PrivateKey(context.get(), key) != 1) {
    return OfFlag("tls_key", OpenSslError("cannot be served with"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::Time> CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  const auto forget = ForgetErrors();
  const auto chain = ParseCertificates(files.certificate_chain);
  if (!chain.ok()) return OfFlag("tls_cert", chain.status());
  absl::Time expiry = absl::InfiniteFuture();
  for (const Certificate& certificate : *chain) {
    const absl::StatusOr<absl::Time> valid = ValidUntil(certificate.get(), now);
    if (!valid.ok()) return OfFlag("tls_cert", valid.status());
    expiry = std::min(expiry, *valid);
  }
  const absl::StatusOr<Key> key = ParseKey(files.key);
  if (!key.ok()) return OfFlag("tls_key", key.status());
  RETURN_IF_ERROR(CheckServes(chain->front().get(), key->get()));
  if (files.client_ca.has_value()) {
    // Bundles have expired ones among others: those vouch for nobody, which is no fault.
    const absl::Status authorities = ParseCertificates(*files.client_ca).status();
    if (!authorities.ok()) return OfFlag("tls_client_ca", authorities);
  }
  return expiry;
}

}  // namespace diffusiond
