#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/http/http_server.h"
#include "tests/model/http/served_routes.h"
#include "tests/testing/http_peer.h"
#include "tests/testing/test_certificates.h"

namespace diffusiond {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Clients = TlsIdentity::ClientCertificates;

// A client of TLS over an HttpPeer's connection; blocks.
class TlsPeer {
 public:
  struct Options {
    TestCertificates::Pair certificate = {};  // Empty: none.
    int max_version = TLS1_3_VERSION;
    std::string protocol = "http/1.1";
  };

  TlsPeer(int port, const Options& options)
      : peer_(port), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    sigset_t pipe;  // Of this thread alone: the server's have to look after themselves.
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    // Whatever this machine's own configuration thinks of old versions.
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), 0);
    SSL_CTX_set_max_proto_version(context_.get(), options.max_version);
    if (!options.certificate.key.empty()) Use(options.certificate);
    ssl_.reset(SSL_new(context_.get()));
    const std::string offered =
        absl::StrCat(std::string(1, static_cast<char>(options.protocol.size())), options.protocol);
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(offered.data()),
                        static_cast<unsigned>(offered.size()));
    SSL_set_fd(ssl_.get(), peer_.descriptor());
    connected_ = SSL_connect(ssl_.get()) == 1;
  }

  // Of TLS 1.3 a client whose certificate is refused learns of it when it reads.
  bool connected() const { return connected_; }
  void Send(const std::string& text) {
    SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
  }
  std::string ReadUntil(const std::string& end) {
    std::string text;
    char byte = 0;
    while (!absl::EndsWith(text, end) && SSL_read(ssl_.get(), &byte, 1) == 1) text += byte;
    return text;
  }
  std::string Asks(const std::string& request, const std::string& end) {
    if (!connected_) return "";
    Send(request);
    return ReadUntil(end);
  }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
  }
  std::string server_name() const {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        SSL_get1_peer_certificate(ssl_.get()), X509_free);
    char name[100] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name,
                              sizeof(name));
    return name;
  }
  // "Nothing more comes", said rightly.
  bool ended_well() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

 private:
  void Use(const TestCertificates::Pair& pair) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> certificate(
        BIO_new_mem_buf(pair.certificate.data(), -1), BIO_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> key(BIO_new_mem_buf(pair.key.data(), -1),
                                                        BIO_free);
    const std::unique_ptr<X509, decltype(&X509_free)> x509(
        PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr), X509_free);
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> secret(
        PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
    EXPECT_EQ(SSL_CTX_use_certificate(context_.get(), x509.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context_.get(), secret.get()), 1);
  }

  const HttpPeer peer_;
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  bool connected_ = false;
};

class HttpTlsTest : public ServedRoutes {
 protected:
  void StartTls(Clients clients = Clients::kNone) {
    identity_ = Identity("server", clients);
    options_.tls = [this] {
      absl::MutexLock lock(&mutex_);
      return identity_;
    };
    Start();
  }
  std::shared_ptr<TlsIdentity> Identity(const std::string& name, Clients clients) {
    const TestCertificates::Pair pair = certificates_.Issue(authority_, {.common_name = name});
    return std::make_shared<TlsIdentity>(
        TlsIdentity{.certificate_chain = pair.certificate + authority_.certificate,
                    .key = pair.key,
                    .client_authorities = authority_.certificate,
                    .client_certificates = clients});
  }
  void Rotate(std::shared_ptr<TlsIdentity> identity) {
    absl::MutexLock lock(&mutex_);
    identity_ = std::move(identity);
  }
  TestCertificates::Pair Client() {
    return certificates_.Issue(authority_, {.common_name = "client"});
  }

  TestCertificates certificates_;
  TestCertificates::Pair authority_ = certificates_.MakeAuthority("authority");
  absl::Mutex mutex_;
  std::shared_ptr<TlsIdentity> identity_;
};

TEST_F(HttpTlsTest, AnswersComeByTls) {
  StartTls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsPeer peer(port(), {.max_version = version});
    EXPECT_THAT(peer.Asks(kGet, "hello\n"), EndsWith("\r\n\r\nhello\n"));
    EXPECT_EQ(peer.protocol(), "http/1.1");
    EXPECT_THAT(peer.Asks("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "nothing"),
                EndsWith("\r\n\r\nhello\n"));
    EXPECT_TRUE(peer.ended_well());
  }
}

TEST_F(HttpTlsTest, ALargeBodyGoesBothWays) {
  StartTls();
  TlsPeer peer(port(), {});
  const std::string body(1 << 20, 'x');
  peer.Send(
      absl::StrCat("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: ", body.size(), "\r\n\r\n"));
  peer.Send(body);
  EXPECT_THAT(peer.ReadUntil(">\n"), EndsWith(absl::StrCat("<", body, ">\n")));
}

TEST_F(HttpTlsTest, OldVersionsAndOtherProtocolsAreRefused) {
  StartTls();
  EXPECT_FALSE(TlsPeer(port(), {.max_version = TLS1_1_VERSION}).connected());
  EXPECT_FALSE(TlsPeer(port(), {.protocol = "h2"}).connected());
  observer_->Await(HttpEnd::kHandshake, 2);
}

TEST_F(HttpTlsTest, WhoMayNotConnectGetsNoHandshake) {
  options_.refuse_connection = [](const std::string&) { return HttpRefusal::kRate; };
  StartTls();
  const TlsPeer peer(port(), {});
  ASSERT_FALSE(peer.connected());
  observer_->Await(absl::StrCat("refusal ", static_cast<int>(HttpRefusal::kRate)));
  EXPECT_EQ(observer_->Times("connection"), 0);
}

TEST_F(HttpTlsTest, WhoDoesNotSpeakTlsIsClosed) {
  options_.limits.handshake_time = absl::Milliseconds(20);
  StartTls();
  const HttpPeer plain(port());
  plain.Send(kGet);
  EXPECT_THAT(plain.ReadToEnd(), IsEmpty());
  EXPECT_THAT(HttpPeer(port()).ReadToEnd(), IsEmpty());  // Says nothing.
  observer_->Await(HttpEnd::kHandshake, 2);
}

TEST_F(HttpTlsTest, ARequiredCertificateIsAskedForAndHandedOn) {
  StartTls(Clients::kRequired);
  EXPECT_THAT(TlsPeer(port(), {}).Asks(kGet, "hello\n"), IsEmpty());
  const TestCertificates::Pair stranger =
      certificates_.Issue(certificates_.MakeAuthority("another"), {.common_name = "stranger"});
  EXPECT_THAT(TlsPeer(port(), {.certificate = stranger}).Asks(kGet, "hello\n"), IsEmpty());
  const TestCertificates::Pair client = Client();
  TlsPeer peer(port(), {.certificate = client});
  peer.Send(kAsk);
  const PuppetHandler::Call call = puppet_.Next();
  // openssl(1) writes text before it.
  EXPECT_THAT(client.certificate, HasSubstr(call.request.client_certificate));
  EXPECT_THAT(call.request.client_certificate, HasSubstr("BEGIN CERTIFICATE"));
}

TEST_F(HttpTlsTest, ARequestedCertificateMayBeMissingAndNotBeFalse) {
  StartTls(Clients::kRequested);
  TlsPeer peer(port(), {});
  peer.Send(kAsk);
  EXPECT_THAT(puppet_.Next().request.client_certificate, IsEmpty());
  const TestCertificates::Pair stranger =
      certificates_.Issue(certificates_.MakeAuthority("another"), {.common_name = "stranger"});
  EXPECT_THAT(TlsPeer(port(), {.certificate = stranger}).Asks(kGet, "hello\n"), IsEmpty());
}

TEST_F(HttpTlsTest, ANewIdentityIsForNewConnections) {
  StartTls();
  TlsPeer before(port(), {});
  EXPECT_EQ(before.server_name(), "server");
  Rotate(Identity("renewed", Clients::kNone));
  EXPECT_EQ(TlsPeer(port(), {}).server_name(), "renewed");
  EXPECT_THAT(before.Asks(kGet, "hello\n"), EndsWith("hello\n"));
  // Without one that can be served with there is no service, and none in the clear.
  Rotate(std::make_shared<TlsIdentity>());
  EXPECT_FALSE(TlsPeer(port(), {}).connected());
  Rotate(nullptr);
  EXPECT_FALSE(TlsPeer(port(), {}).connected());
  observer_->Await("refusal 3", 2);
  Rotate(Identity("again", Clients::kNone));
  EXPECT_EQ(TlsPeer(port(), {}).server_name(), "again");
}

TEST_F(HttpTlsTest, WhatCannotBeServedWithIsToldAtTheStart) {
  const std::shared_ptr<TlsIdentity> good = Identity("server", Clients::kRequired);
  const auto with = [&](void (*change)(TlsIdentity&)) {
    auto changed = std::make_shared<TlsIdentity>(*good);
    change(*changed);
    return HttpServer::Start({.listen = "127.0.0.1:0", .tls = [changed] { return changed; }}, {})
        .status()
        .code();
  };
  EXPECT_EQ(with([](TlsIdentity&) {}), absl::StatusCode::kOk);
  EXPECT_EQ(with([](TlsIdentity& of) { of.certificate_chain = "none"; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(with([](TlsIdentity& of) { of.key.clear(); }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(with([](TlsIdentity& of) { of.client_authorities.clear(); }),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(HttpTlsTest, AStreamStandsStillAndGoesOn) {
  StartTls();
  TlsPeer peer(port(), {});
  peer.Send(kAsk);
  const PuppetHandler::Call call = puppet_.Next();
  call.responder->Begin({});
  size_t bytes = 0;
  while (call.responder->Write(std::string(64 << 10, 'x')) == HttpResponder::Written::kTaken) {
    bytes += 64 << 10;
    ASSERT_LT(bytes, 64 << 20);
  }
  call.responder->End();
  const std::string all = peer.ReadUntil("\r\n0\r\n\r\n");
  EXPECT_GT(all.size(), bytes);
  EXPECT_THAT(all, EndsWith("xxx\r\n0\r\n\r\n"));
}

}  // namespace
}  // namespace diffusiond
