// The real server with TLS and an access list, and clients that show what they like.
#ifndef DIFFUSIOND_TESTS_SERVER_RPC_SECURED_SERVER_H_
#define DIFFUSIOND_TESTS_SERVER_RPC_SECURED_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"
#include "server/access/access_control.h"
#include "server/rpc/admin_server.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/test_certificates.h"

namespace diffusiond {

// One identity of an access file.
std::string IdentityJson(const std::string& name, const std::string& rights,
                         const std::string& tokens, const std::string& more = "");
std::string AccessJson(const std::vector<std::string>& identities);

// What a client shows of itself.
struct Shown {
  std::optional<TestCertificates::Pair> certificate = std::nullopt;
  std::string token = {};
};

// Whatever the answer to a call was, without its content.
struct Outcome {
  grpc::Status status;    // OK also where the call is a stream that goes on.
  std::string served_by;  // The certificate that the server showed, PEM.
};

// Files change only where the test says so, and are looked at by access().Poll().
// Thread-compatible.
class SecuredServer {
 public:
  struct Options {
    std::string list;  // The access file; empty: none.
    ClientCertificates client_certificates = ClientCertificates::kRequest;
    CertificateName certificate_name = CertificateName::kSpiffe;
    bool reflection = true;
    bool puppet = false;
    std::optional<int> max_queued_images = std::nullopt;
  };

  explicit SecuredServer(Options options);
  ~SecuredServer();

  AccessControl& access() { return *access_; }
  TestServer& server() { return *server_; }
  TestCertificates& certificates() { return certificates_; }
  const TestCertificates::Pair& authority() const { return authority_; }
  std::vector<std::string> admin_log();

  // Write the files, whole.
  void WriteList(const std::string& list) { certificates_.Write("access.json", list); }
  void WriteCertificate(const TestCertificates::Pair& server);
  void WriteClientAuthorities(const std::string& authorities) {
    certificates_.Write("client_ca.crt", authorities);
  }
  TestCertificates::Pair IssueClient(const std::string& spiffe_id) {
    return certificates_.Issue(authority_, {.common_name = "client", .names = "URI:" + spiffe_id});
  }

  enum class Port { kClients, kOperators };
  int port(Port port) const;
  // A connection of its own, to a server that authority() vouches for.
  std::shared_ptr<grpc::Channel> Connect(
      Port port, const std::optional<TestCertificates::Pair>& certificate) const;

 private:
  class QuietAdmin;

  TestCertificates certificates_;
  TestCertificates::Pair authority_;
  std::unique_ptr<AccessControl> access_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<QuietAdmin> quiet_admin_;
  absl::Mutex mu_;
  std::vector<std::string> admin_log_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<AdminServer> admin_;
};

// Calls a method by its path with an empty request, and hangs up after the first message.
// `metadata` in addition.
Outcome Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
             const std::multimap<std::string, std::string>& metadata);
// The same with the metadata of a token; empty: none.
Outcome CallWith(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                 const std::string& token);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SERVER_RPC_SECURED_SERVER_H_
