#include "model/http/tls_identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/process/openssl_pointer.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Certificate = OpenSslPointer<X509, X509_free>;
using Bio = OpenSslPointer<BIO, BIO_free>;

absl::Status TlsFault(absl::string_view what) {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return absl::InvalidArgumentError(
      absl::StrCat(what, reason == nullptr ? "" : absl::StrCat(": ", reason)));
}

Bio BioOf(absl::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

absl::StatusOr<std::vector<Certificate>> CertificatesOf(absl::string_view pem,
                                                        absl::string_view what) {
  const auto bio = BioOf(pem);
  std::vector<Certificate> certificates;
  while (Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    certificates.push_back(std::move(certificate));
  }
  if (certificates.empty() || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
    return TlsFault(absl::StrCat(what, " cannot be read"));
  }
  ERR_clear_error();
  return certificates;
}

absl::Status UseOwn(SSL_CTX* context, const TlsIdentity& identity) {
  ASSIGN_OR_RETURN(const std::vector<Certificate> chain,
                   CertificatesOf(identity.certificate_chain, "the certificate"));
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) {
    return TlsFault("the certificate cannot be served with");
  }
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return TlsFault("the chain");
  }
  // OpenSSL's own way to learn a password is to ask at the terminal.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  const OpenSslPointer<EVP_PKEY, EVP_PKEY_free> key(
      PEM_read_bio_PrivateKey(BioOf(identity.key).get(), nullptr, no_password, nullptr));
  if (key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return TlsFault("the key cannot be served with");
  }
  return absl::OkStatus();
}

absl::Status AskClients(SSL_CTX* context, const TlsIdentity& identity) {
  if (identity.client_certificates == TlsIdentity::ClientCertificates::kNone) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<Certificate> authorities,
                   CertificatesOf(identity.client_authorities, "the clients' authorities"));
  for (const Certificate& authority : authorities) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1 ||
        SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      return TlsFault("the clients' authorities");
    }
  }
  const bool required = identity.client_certificates == TlsIdentity::ClientCertificates::kRequired;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  return absl::OkStatus();
}

// A client that asks for nothing we speak is refused; one that does not ask at all is served.
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* size,
                   const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kOurs[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  const int fit = SSL_select_next_proto(&found, size, kOurs, sizeof(kOurs), offered, offered_size);
  *chosen = found;
  return fit == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

absl::StatusOr<std::shared_ptr<ssl_ctx_st>> MakeTlsContext(const TlsIdentity& identity) {
  // It remembers errors by thread, and who speaks TLS on this thread next would find ours.
  const absl::Cleanup forget = [] { ERR_clear_error(); };
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) return TlsFault("no TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, nullptr);
  RETURN_IF_ERROR(UseOwn(context.get(), identity));
  RETURN_IF_ERROR(AskClients(context.get(), identity));
  return context;
}

}  // namespace diffusiond
