#include "server/access/shown_credential.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "model/process/openssl_pointer.h"

namespace diffusiond {
namespace {

constexpr absl::string_view kBearer = "Bearer ";

std::string TextOf(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, text);
  if (length < 0) return "";
  std::string copy(reinterpret_cast<const char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return copy;
}

std::vector<std::string> UrisOf(const X509& certificate) {
  const OpenSslPointer<GENERAL_NAMES, GENERAL_NAMES_free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) uris.push_back(TextOf(name->d.uniformResourceIdentifier));
  }
  return uris;
}

// The first.
std::string CommonNameOf(const X509& certificate) {
  const X509_NAME* const subject = X509_get_subject_name(&certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return "";
  return TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

}  // namespace

void AddAuthorization(absl::string_view value, Credential& credential) {
  // Which of several is meant nobody can know; an empty one is a client's unset variable.
  if (credential.token.has_value() || !absl::StartsWithIgnoreCase(value, kBearer) ||
      value.size() == kBearer.size()) {
    credential.malformed = true;
    return;
  }
  credential.token = std::string(value.substr(kBearer.size()));
}

std::string NameInCertificate(absl::string_view pem, CertificateName kind) {
  const absl::Cleanup forget_errors = [] { ERR_clear_error(); };
  const OpenSslPointer<BIO, BIO_free> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const OpenSslPointer<X509, X509_free> certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return "";
  if (kind == CertificateName::kCommonName) return CommonNameOf(*certificate);
  const std::vector<std::string> uris = UrisOf(*certificate);
  if (uris.size() != 1) return "";
  const bool fits = kind == CertificateName::kUri || absl::StartsWith(uris[0], "spiffe://");
  return fits ? uris[0] : "";
}

}  // namespace diffusiond
