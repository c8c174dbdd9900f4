#include "server/connections/listener.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/in_child.h"
#include "tests/testing/loopback.h"

namespace diffusiond {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::SizeIs;

// What the listener handed on and told. Thread-safe.
class Taken : public ConnectionMetrics {
 public:
  void Take(int descriptor) {
    absl::MutexLock lock(&mu_);
    sockets_.emplace_back(descriptor);
  }
  // Waits until so many were taken, those given back included.
  void Await(size_t count) {
    const auto enough = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return given_back_ + sockets_.size() >= count;
    };
    absl::MutexLock lock(&mu_, absl::Condition(&enough));
  }
  void GiveBackOne() {
    absl::MutexLock lock(&mu_);
    sockets_.erase(sockets_.begin());
    ++given_back_;
  }
  void OnConnectionEvicted() override {
    absl::MutexLock lock(&mu_);
    ++evicted_;
  }
  int evicted() {
    absl::MutexLock lock(&mu_);
    return evicted_;
  }
  void OnConnectionRefused(const std::string& reason) override {
    absl::MutexLock lock(&mu_);
    refusals_.push_back(reason);
  }
  std::vector<std::string> AwaitRefusals(size_t count) {
    const auto enough = [this, count]()
                            ABSL_SHARED_LOCKS_REQUIRED(mu_) { return refusals_.size() >= count; };
    absl::MutexLock lock(&mu_, absl::Condition(&enough));
    return refusals_;
  }

 private:
  absl::Mutex mu_;
  std::vector<Socket> sockets_ ABSL_GUARDED_BY(mu_);
  size_t given_back_ ABSL_GUARDED_BY(mu_) = 0;
  int evicted_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::string> refusals_ ABSL_GUARDED_BY(mu_);
};

std::unique_ptr<Listener> Listen(Taken* taken, Listener::Options options) {
  options.address = QuietLoopback() + ":0";
  options.metrics = taken;
  auto listener = Listener::Bind(std::move(options));
  EXPECT_TRUE(listener.ok()) << listener.status();
  (*listener)->Start([taken](int descriptor) { taken->Take(descriptor); });
  return *std::move(listener);
}

// A call that lasts, as long as the connection does.
void BeginCall(Listener& listener, const Socket& client) {
  sockaddr_storage own = {};
  socklen_t size = sizeof(own);
  getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &size);
  EXPECT_NE(listener.book()->BeginCall(PeerOf(own)), nullptr);
}

TEST(Listener, HandsOnWhoConnectsUpToItsLimitAndMoreWhenOneIsGone) {
  Taken taken;
  const auto listener = Listen(&taken, {.address = "", .limits = {.total = 2, .per_address = 3}});
  const Socket first = ConnectTo(listener->port(), QuietLoopback()),
               second = ConnectTo(listener->port(), QuietLoopback());
  taken.Await(2);
  BeginCall(*listener, first);
  BeginCall(*listener, second);
  const Socket third = ConnectTo(listener->port(), QuietLoopback());
  EXPECT_TRUE(IsTurnedAway(third));
  EXPECT_THAT(taken.AwaitRefusals(1), ElementsAre("max_connections"));
  taken.GiveBackOne();
  const Socket fourth = ConnectTo(listener->port(), QuietLoopback());
  taken.Await(3);
  EXPECT_EQ(listener->CountOpen(), 2);
}

TEST(Listener, OneAddressCannotTakeAllPlaces) {
  Taken taken;
  const auto listener = Listen(&taken, {.address = "", .limits = {.total = 9, .per_address = 1}});
  const Socket first = ConnectTo(listener->port(), QuietLoopback());
  taken.Await(1);
  BeginCall(*listener, first);
  EXPECT_TRUE(IsTurnedAway(ConnectTo(listener->port(), QuietLoopback())));
  EXPECT_THAT(taken.AwaitRefusals(1), ElementsAre("max_connections_per_address"));
}

TEST(Listener, AConnectionWithoutACallGivesItsPlaceToTheNext) {
  Taken taken;
  const auto listener = Listen(&taken, {.address = "", .limits = {.total = 9, .per_address = 1}});
  const Socket first = ConnectTo(listener->port(), QuietLoopback());
  taken.Await(1);
  const Socket second = ConnectTo(listener->port(), QuietLoopback());
  EXPECT_TRUE(IsTurnedAway(first));
  taken.Await(2);
  EXPECT_EQ(taken.evicted(), 1);
  EXPECT_EQ(listener->CountOpen(), 1);
}

TEST(Listener, TurnsAwayWhoComesTooOften) {
  Taken of_address, of_all;
  const auto by_address =
      Listen(&of_address, {.address = "", .rate = {.total = 9, .per_address = 1}});
  const auto by_all = Listen(&of_all, {.address = "", .rate = {.total = 1, .per_address = 9}});
  for (const Listener* listener : {by_address.get(), by_all.get()}) {
    // The burst of two seconds, and then more than come back meanwhile.
    for (int i = 0; i < 50; ++i) ConnectTo(listener->port(), QuietLoopback());
  }
  EXPECT_THAT(of_address.AwaitRefusals(1).front(), "max_connections_per_second_per_address");
  EXPECT_THAT(of_all.AwaitRefusals(1).front(), "max_connections_per_second");
}

TEST(Listener, ClosedItRefusesAndWhatItHandedOnStays) {
  Taken taken;
  const auto listener = Listen(&taken, {});
  const Socket client = ConnectTo(listener->port(), QuietLoopback());
  taken.Await(1);
  listener->Close();
  EXPECT_FALSE(ConnectTo(listener->port(), QuietLoopback()).ok());
  EXPECT_EQ(listener->CountOpen(), 1);
  EXPECT_EQ(send(client.get(), "x", 1, MSG_NOSIGNAL), 1);
  listener->Close();
}

TEST(Listener, ClosesWithoutHavingStarted) {
  EXPECT_TRUE(Listener::Bind({.address = "127.0.0.1:0"}).ok());
}

TEST(Listener, GoesOnAfterAcceptFailed) {
  for (const int fault : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, ECONNABORTED}) {
    Taken taken;
    auto failures = std::make_shared<int>(3);
    const auto listener =
        Listen(&taken, {.address = "",
                        .limits = {},
                        .metrics = nullptr,
                        .accept = [failures, fault](int listening, sockaddr_storage* peer) {
                          if ((*failures)-- > 0) {
                            errno = fault;
                            return -1;
                          }
                          socklen_t size = sizeof(*peer);
                          return accept4(listening, reinterpret_cast<sockaddr*>(peer), &size,
                                         SOCK_NONBLOCK | SOCK_CLOEXEC);
                        }});
    std::vector<Socket> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(ConnectTo(listener->port(), QuietLoopback()));
    taken.Await(1);
  }
}

// In a process whose descriptors are all in use: a stranger is told, and once there are some again
// the next one is taken.
TEST(Listener, OutOfDescriptorsItTurnsAwayAndTakesAgainLater) {
  EXPECT_EQ(InChild([] {
              const rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
              setrlimit(RLIMIT_NOFILE, &limit);
              Taken taken;
              const std::string host = QuietLoopback();
              const auto listener = Listen(&taken, {});
              Socket stranger(socket(AF_INET, SOCK_STREAM, 0));
              Socket late(socket(AF_INET, SOCK_STREAM, 0));
              Socket first = ConnectTo(listener->port(), host);
              taken.Await(1);
              std::vector<int> all;
              for (int copy = dup(0); copy >= 0; copy = dup(0)) all.push_back(copy);
              sockaddr_in address = {};
              address.sin_family = AF_INET;
              address.sin_port = htons(static_cast<in_port_t>(listener->port()));
              inet_pton(AF_INET, host.c_str(), &address.sin_addr);
              const auto* const to = reinterpret_cast<const sockaddr*>(&address);
              if (connect(stranger.get(), to, sizeof(address)) != 0) return 1;
              if (!IsTurnedAway(stranger)) return 2;
              if (taken.AwaitRefusals(1).front() != "descriptors") return 3;
              for (const int copy : all) close(copy);
              if (connect(late.get(), to, sizeof(address)) != 0) return 4;
              taken.Await(2);
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace diffusiond
