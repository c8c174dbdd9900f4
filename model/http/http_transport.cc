#include "model/http/http_transport.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace diffusiond {
namespace {

using Outcome = HttpTransport::Outcome;
using Result = HttpTransport::Result;

Result ResultOfRecv(ssize_t received) {
  if (received > 0) return {.bytes = static_cast<size_t>(received)};
  if (received == 0) return {.outcome = Outcome::kEnd};
  const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  return {.outcome = later ? Outcome::kWaitsToRead : Outcome::kBroken};
}

class PlainSocket : public HttpTransport {
 public:
  explicit PlainSocket(int descriptor) : descriptor_(descriptor) {}

  Result Handshake() override { return {}; }
  Result Read(char* to, size_t size) override {
    return ResultOfRecv(recv(descriptor_, to, size, 0));
  }
  Result Write(absl::string_view bytes) override {
    const ssize_t sent = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return {.bytes = static_cast<size_t>(sent)};
    const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return {.outcome = later ? Outcome::kWaitsToWrite : Outcome::kBroken};
  }
  void EndWriting() override { shutdown(descriptor_, SHUT_WR); }
  std::string ClientCertificate() const override { return {}; }

 private:
  const int descriptor_;
};

class TlsSocket : public HttpTransport {
 public:
  TlsSocket(int descriptor, std::shared_ptr<SSL_CTX> context)
      : descriptor_(descriptor), context_(std::move(context)), ssl_(SSL_new(context_.get())) {
    if (ssl_ == nullptr) return;
    SSL_set_accept_state(ssl_);
    if (SSL_set_fd(ssl_, descriptor_) == 1) return;
    SSL_free(ssl_);
    ssl_ = nullptr;
  }
  ~TlsSocket() override { SSL_free(ssl_); }

  bool ok() const { return ssl_ != nullptr; }

  Result Handshake() override {
    ERR_clear_error();
    return ResultOf(SSL_do_handshake(ssl_), 0);
  }
  Result Read(char* to, size_t size) override {
    ERR_clear_error();
    size_t read = 0;
    const int rc = SSL_read_ex(ssl_, to, size, &read);
    return ResultOf(rc, read);
  }
  Result Write(absl::string_view bytes) override {
    ERR_clear_error();
    size_t written = 0;
    const int rc = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written);
    return ResultOf(rc, written);
  }
  void EndWriting() override {
    ERR_clear_error();
    if (!broken_ && SSL_is_init_finished(ssl_) == 1) SSL_shutdown(ssl_);
    shutdown(descriptor_, SHUT_WR);
  }
  std::string ClientCertificate() const override {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl_),
                                                                  X509_free);
    if (certificate == nullptr) return {};
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
    if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate.get()) != 1) return {};
    char* text = nullptr;
    const auto size = BIO_get_mem_data(bio.get(), &text);
    return std::string(text, static_cast<size_t>(size));
  }

 private:
  Result ResultOf(int rc, size_t bytes) {
    if (rc == 1) return {.bytes = bytes};
    switch (SSL_get_error(ssl_, rc)) {
      case SSL_ERROR_WANT_READ:
        return {.outcome = Outcome::kWaitsToRead};
      case SSL_ERROR_WANT_WRITE:
        return {.outcome = Outcome::kWaitsToWrite};
      case SSL_ERROR_ZERO_RETURN:
        return {.outcome = Outcome::kEnd};
      default:
        broken_ = true;  // After which OpenSSL is to be asked nothing more.
        return {.outcome = Outcome::kBroken};
    }
  }

  const int descriptor_;
  const std::shared_ptr<SSL_CTX> context_;
  SSL* ssl_;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<HttpTransport> PlainTransport(int descriptor) {
  return std::make_unique<PlainSocket>(descriptor);
}

std::unique_ptr<HttpTransport> TlsTransport(int descriptor,
                                            const std::shared_ptr<ssl_ctx_st>& context) {
  auto transport = std::make_unique<TlsSocket>(descriptor, context);
  if (!transport->ok()) return nullptr;
  return transport;
}

HttpTransport::Result DiscardInput(int descriptor) {
  char nowhere[16 << 10];
  return ResultOfRecv(recv(descriptor, nowhere, sizeof(nowhere), 0));
}

}  // namespace diffusiond
