#include "server/access/certificate_reader.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "model/process/openssl_pointer.h"

namespace diffusiond {
namespace {

std::string TextOf(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, text);
  if (length < 0) return "";
  std::string copy(reinterpret_cast<const char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return copy;
}

std::string OnlyUriOf(const X509& certificate) {
  const OpenSslPointer<GENERAL_NAMES, GENERAL_NAMES_free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string uri;
  int uris = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    uri = TextOf(name->d.uniformResourceIdentifier);
    ++uris;
  }
  return uris == 1 ? uri : "";
}

std::string FirstCommonNameOf(const X509& certificate) {
  const X509_NAME* const subject = X509_get_subject_name(&certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return "";
  return TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

absl::Time ExpiryOf(const X509& certificate) {
  tm fields = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &fields) != 1) return absl::InfinitePast();
  return absl::FromTM(fields, absl::UTCTimeZone());
}

}  // namespace

std::string ClientCertificate::NameOf(CertificateName kind) const {
  switch (kind) {
    case CertificateName::kSpiffe:
      return absl::StartsWith(uri, "spiffe://") ? uri : "";
    case CertificateName::kUri:
      return uri;
    case CertificateName::kCommonName:
      return common_name;
  }
  return "";
}

ClientCertificate ReadClientCertificate(absl::string_view pem) {
  if (pem.empty()) return {};
  // OpenSSL remembers errors by thread, and gRPC's handshakes on this thread would find ours.
  const absl::Cleanup forget_errors = [] { ERR_clear_error(); };
  const OpenSslPointer<BIO, BIO_free> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const OpenSslPointer<X509, X509_free> certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return {};
  return {.uri = OnlyUriOf(*certificate),
          .common_name = FirstCommonNameOf(*certificate),
          .expiry = ExpiryOf(*certificate)};
}

std::shared_ptr<const ClientCertificate> CertificateReader::Get(absl::string_view pem) {
  const bool is_remembered = pem.size() <= kMaxRememberedBytes;
  if (is_remembered) {
    absl::MutexLock lock(&mu_);
    const auto found = remembered_.find(pem);
    if (found != remembered_.end()) return found->second;
  }
  auto read = std::make_shared<const ClientCertificate>(ReadClientCertificate(pem));
  absl::MutexLock lock(&mu_);
  ++read_;
  if (!is_remembered) return read;
  if (remembered_.size() >= kMaxRemembered) remembered_.clear();
  remembered_.insert_or_assign(std::string(pem), read);
  return read;
}

size_t CertificateReader::read() const {
  absl::MutexLock lock(&mu_);
  return read_;
}

}  // namespace diffusiond
