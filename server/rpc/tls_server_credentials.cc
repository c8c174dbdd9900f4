#include "server/rpc/tls_server_credentials.h"

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "grpc/slice.h"
#include "grpc/status.h"
#include "server/rpc/call_credential.h"

namespace diffusiond {
namespace {

grpc_ssl_client_certificate_request_type RequestTypeOf(ClientCertificates certificates) {
  switch (certificates) {
    case ClientCertificates::kNone:
      return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    case ClientCertificates::kRequest:
      return GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    case ClientCertificates::kRequire:
      return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
}

// gRPC's C++ layer has no credentials that ask for the certificate at each handshake, but its C
// layer does, and it judges what it is given once more: what it cannot serve with it leaves.
// (FileWatcherCertificateProvider, the C++ way, serves nobody once a file is bad.)
class TlsServerCredentials final : public grpc::ServerCredentials {
 public:
  explicit TlsServerCredentials(const AccessGate* gate)
      : gate_(gate),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                RequestTypeOf(gate->access().client_certificates()), &FetchCertificate, this))) {
    grpc_server_credentials_set_auth_metadata_processor(
        credentials_,
        {.process = &Admit, .destroy = nullptr, .state = const_cast<AccessGate*>(gate)});
  }
  ~TlsServerCredentials() override { grpc_server_credentials_release(credentials_); }

  // Not for these: the gate is what judges.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // On the thread that accepts; once before, as the server starts.
  static grpc_ssl_certificate_config_reload_status FetchCertificate(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<TlsServerCredentials*>(self)->Fetch(config);
  }

  grpc_ssl_certificate_config_reload_status Fetch(grpc_ssl_server_certificate_config** config) {
    const std::shared_ptr<const TlsFiles> now = gate_->access().tls();
    if (now == in_use_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    in_use_ = now;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = now->key.c_str(),
                                       .cert_chain = now->certificate_chain.c_str()};
    // Without clients' certificates there is nothing to verify, but Debian's gRPC ends the process
    // when it is given no authorities at all.
    const std::string& authorities =
        now->client_ca.has_value() ? *now->client_ca : now->certificate_chain;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  // On gRPC's threads, for each call. Who calls is not written down in `connection`: all calls of
  // the connection share it, each with a token of its own.
  static void Admit(void* gate, grpc_auth_context* connection, const grpc_metadata* metadata,
                    size_t count, grpc_process_auth_metadata_done_cb done, void* done_argument) {
    const auto& judge = *static_cast<const AccessGate*>(gate);
    absl::string_view path;
    for (const grpc_metadata& entry : absl::MakeSpan(metadata, count)) {
      if (grpc_slice_str_cmp(entry.key, ":path") != 0) continue;
      path = {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(entry.value)),
              GRPC_SLICE_LENGTH(entry.value)};
    }
    const absl::Status admitted =
        judge
            .Admit(path, CredentialOf(absl::MakeSpan(metadata, count), connection,
                                      judge.access().certificate_name()))
            .status();
    // The codes are the same numbers in both.
    done(done_argument, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(admitted.code()),
         admitted.ok() ? nullptr : std::string(admitted.message()).c_str());
  }

  const AccessGate* const gate_;
  grpc_server_credentials* const credentials_;
  std::shared_ptr<const TlsFiles> in_use_;  // The accepting thread's.
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeTlsServerCredentials(const AccessGate* gate) {
  return std::make_shared<TlsServerCredentials>(gate);
}

}  // namespace diffusiond
