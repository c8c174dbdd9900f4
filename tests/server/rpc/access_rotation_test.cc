// Certificates, authorities and tokens that are changed while clients draw.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/secured_server.h"

namespace diffusiond {
namespace {

using ::testing::IsEmpty;

using Port = SecuredServer::Port;

constexpr int kRotations = 20;
constexpr int kClients = 4;
constexpr char kDraw[] = "/diffusiond.v1.DiffusionService/GenerateImages";

// What clients have between two rotations.
struct Kit {
  int number = 0;
  TestCertificates::Pair authority;  // Vouches for the clients.
  TestCertificates::Pair certificate;
  std::string token;
  std::string served_by;  // The server's certificate.
};

// Clients that draw without a pause, each with the newest kit on a connection of its own.
class Load {
 public:
  Load(const SecuredServer& server, std::shared_ptr<const Kit> kit) : server_(server) {
    Use(std::move(kit));
    for (int i = 0; i < kClients; ++i) threads_.emplace_back([this] { Draw(); });
  }
  ~Load() { Stop(); }

  // Returns when every client has drawn with it, so that nobody is left with an older one.
  void UseAndAwait(std::shared_ptr<const Kit> kit) {
    Use(std::move(kit));
    absl::MutexLock lock(&mu_);
    const auto all = [this]()
                         ABSL_SHARED_LOCKS_REQUIRED(mu_) { return drawn_with_it_ == kClients; };
    mu_.Await(absl::Condition(&all));
  }

  void Stop() {
    {
      absl::MutexLock lock(&mu_);
      stopped_ = true;
    }
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  std::vector<std::string> failures() {
    absl::MutexLock lock(&mu_);
    return failures_;
  }
  int drawn() {
    absl::MutexLock lock(&mu_);
    return drawn_;
  }

 private:
  void Use(std::shared_ptr<const Kit> kit) {
    absl::MutexLock lock(&mu_);
    kit_ = std::move(kit);
    drawn_with_it_ = 0;
  }

  std::shared_ptr<const Kit> Newest() {
    absl::MutexLock lock(&mu_);
    return stopped_ ? nullptr : kit_;
  }

  void Draw() {
    std::shared_ptr<const Kit> mine;
    std::shared_ptr<grpc::Channel> channel;
    bool counted = false;
    while (const std::shared_ptr<const Kit> newest = Newest()) {
      if (newest != mine) {
        mine = newest;
        channel = server_.Connect(Port::kClients, mine->certificate);
        counted = false;
      }
      const Outcome outcome = CallWith(channel, kDraw, mine->token);
      absl::MutexLock lock(&mu_);
      if (!outcome.status.ok()) {
        failures_.push_back(
            absl::StrCat("kit ", mine->number, ": ", outcome.status.error_message()));
      }
      ++drawn_;
      if (!counted && mine == kit_) {
        counted = true;
        ++drawn_with_it_;
      }
    }
  }

  const SecuredServer& server_;
  absl::Mutex mu_;
  std::shared_ptr<const Kit> kit_ ABSL_GUARDED_BY(mu_);
  int drawn_with_it_ ABSL_GUARDED_BY(mu_) = 0;  // Clients.
  int drawn_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::string> failures_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

std::string ListOf(const std::string& tokens) {
  return AccessJson({IdentityJson("web", "generate", tokens)});
}

TEST(AccessRotation, OfEverythingUnderLoadFailsNobodyWhoKeepsUp) {
  SecuredServer server(
      {.list = ListOf("token 0"), .client_certificates = ClientCertificates::kRequire});
  TestCertificates& maker = server.certificates();
  const auto make_kit = [&](int number) {
    auto kit = std::make_shared<Kit>();
    kit->number = number;
    kit->authority = maker.MakeAuthority(absl::StrCat("authority ", number));
    kit->certificate = maker.Issue(kit->authority, {.common_name = "web"});
    kit->token = absl::StrCat("token ", number);
    return kit;
  };
  auto kit = make_kit(0);
  server.WriteClientAuthorities(kit->authority.certificate);
  server.access().Poll();

  Load load(server, kit);
  for (int i = 1; i <= kRotations; ++i) {
    const auto old = kit;
    kit = make_kit(i);
    const TestCertificates::Pair certificate = maker.IssueForLoopback(server.authority());
    kit->served_by = certificate.certificate;
    // First both are good, old and new.
    server.WriteClientAuthorities(old->authority.certificate + kit->authority.certificate);
    server.WriteList(ListOf(absl::StrCat(old->token, ",", kit->token)));
    maker.Write("tls.crt", certificate.certificate);
    server.access().Poll();  // In between, with a key that is another's: refused.
    maker.Write("tls.key", certificate.key);
    server.access().Poll();
    load.UseAndAwait(kit);
    // Then the new ones alone.
    server.WriteClientAuthorities(kit->authority.certificate);
    server.WriteList(ListOf(kit->token));
    server.access().Poll();

    const auto newly = server.Connect(Port::kClients, kit->certificate);
    EXPECT_EQ(CallWith(newly, kDraw, old->token).status.error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
    const Outcome drawn = CallWith(newly, kDraw, kit->token);
    EXPECT_TRUE(drawn.status.ok()) << drawn.status.error_message();
    EXPECT_EQ(drawn.served_by, kit->served_by) << "new connections see the new certificate";
    const auto formerly = server.Connect(Port::kClients, old->certificate);
    EXPECT_EQ(CallWith(formerly, kDraw, kit->token).status.error_code(),
              grpc::StatusCode::UNAVAILABLE)
        << "the old authority vouches for nobody";
  }
  load.Stop();
  EXPECT_THAT(load.failures(), IsEmpty());
  EXPECT_GE(load.drawn(), kRotations * kClients);
}

}  // namespace
}  // namespace diffusiond
