#include "tests/server/rpc/secured_server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "grpc/grpc_security_constants.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "model/files/sha256.h"

namespace diffusiond {
namespace {

// Far more than any call here takes.
constexpr std::chrono::seconds kPatience(60);

std::string Quoted(const std::string& list, const std::function<std::string(std::string)>& of) {
  std::vector<std::string> entries;
  for (const auto entry : absl::StrSplit(list, ',', absl::SkipEmpty())) {
    entries.push_back(absl::StrCat("\"", of(std::string(entry)), "\""));
  }
  return absl::StrJoin(entries, ", ");
}

}  // namespace

std::string IdentityJson(const std::string& name, const std::string& rights,
                         const std::string& tokens, const std::string& more) {
  return absl::StrCat(R"({"name": ")", name, R"(", "rights": [)",
                      Quoted(rights, [](auto word) { return word; }), R"(], "token_sha256": [)",
                      Quoted(tokens, [](auto token) { return Sha256Hex(token); }), "]",
                      more.empty() ? "" : ", ", more, "}");
}

std::string AccessJson(const std::vector<std::string>& identities) {
  return absl::StrCat(R"({"identities": [)", absl::StrJoin(identities, ", "), "]}");
}

class SecuredServer::QuietAdmin : public ModelAdmin {
 public:
  absl::StatusOr<std::vector<ModelVersionsInfo>> ListModelVersions(const std::string&) override {
    return std::vector<ModelVersionsInfo>();
  }
  absl::StatusOr<ModelVersionsInfo> LoadModelVersion(const std::string&, int) override {
    return ModelVersionsInfo();
  }
  absl::StatusOr<ModelVersionsInfo> RollBackModel(const std::string&, int) override {
    return ModelVersionsInfo();
  }
};

SecuredServer::SecuredServer(Options options)
    : authority_(certificates_.MakeAuthority("authority")) {
  WriteCertificate(certificates_.IssueForLoopback(authority_));
  WriteClientAuthorities(authority_.certificate);
  AccessControl::Options access;
  access.tls_cert = certificates_.directory() / "tls.crt";
  access.tls_key = certificates_.directory() / "tls.key";
  access.tls_client_ca = certificates_.directory() / "client_ca.crt";
  access.client_certificates = options.client_certificates;
  access.certificate_name = options.certificate_name;
  access.poll_interval = absl::InfiniteDuration();
  if (!options.list.empty()) {
    WriteList(options.list);
    access.access_file = certificates_.directory() / "access.json";
  }
  absl::StatusOr<std::unique_ptr<AccessControl>> loaded = AccessControl::Load(std::move(access));
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  access_ = *std::move(loaded);

  TestServer::Options serving;
  serving.server.listen_address = "127.0.0.1:0";
  serving.server.access = access_.get();
  serving.server.reflection = options.reflection;
  serving.puppet = options.puppet;
  if (options.max_queued_images.has_value()) {
    serving.engine.max_trajectories = *options.max_queued_images;
  }
  server_ = std::make_unique<TestServer>(serving);
  quiet_admin_ = std::make_unique<QuietAdmin>();
  AdminServer::Options operating;
  operating.listen_address = "127.0.0.1:0";
  operating.access = access_.get();
  operating.reflection = options.reflection;
  operating.log.log = [this](const LogRecord& record) {
    const std::string line = record.Text();
    absl::MutexLock lock(&mu_);
    admin_log_.push_back(line);
  };
  admin_ = *AdminServer::Start(operating, quiet_admin_.get());
}

SecuredServer::~SecuredServer() {
  admin_.reset();
  server_.reset();
}

std::vector<std::string> SecuredServer::admin_log() {
  absl::MutexLock lock(&mu_);
  return admin_log_;
}

void SecuredServer::WriteCertificate(const TestCertificates::Pair& server) {
  certificates_.Write("tls.crt", server.certificate);
  certificates_.Write("tls.key", server.key);
}

int SecuredServer::port(Port port) const {
  return port == Port::kClients ? server_->server().port() : admin_->port();
}

std::shared_ptr<grpc::Channel> SecuredServer::Connect(
    Port port, const std::optional<TestCertificates::Pair>& certificate) const {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = authority_.certificate;
  if (certificate.has_value()) {
    ssl.pem_cert_chain = certificate->certificate;
    ssl.pem_private_key = certificate->key;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", this->port(port)),
                                   grpc::SslCredentials(ssl), arguments);
}

Outcome Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
             const std::multimap<std::string, std::string>& metadata) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
  grpc::CompletionQueue queue;
  const auto await = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  void* const any = &queue;
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(any);
  bool goes_on = await();
  if (goes_on) {
    const grpc::Slice nothing;
    call->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(), any);
    await();
    grpc::ByteBuffer answer;
    call->Read(&answer, any);
    goes_on = await();
  }
  if (goes_on) context.TryCancel();
  Outcome outcome;
  call->Finish(&outcome.status, any);
  await();
  if (goes_on) outcome.status = grpc::Status::OK;
  if (const auto server = context.auth_context(); server != nullptr) {
    for (const auto& pem : server->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME)) {
      outcome.served_by = std::string(pem.data(), pem.size());
    }
  }
  return outcome;
}

Outcome CallWith(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                 const std::string& token) {
  if (token.empty()) return Call(channel, path, {});
  return Call(channel, path, {{"authorization", "Bearer " + token}});
}

}  // namespace diffusiond
