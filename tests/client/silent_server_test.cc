// A server that is there and says nothing: stopped (SIGSTOP), or behind a network that is gone.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/diffusion_client.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

// Takes one connection, greets as HTTP/2 does, and is silent for the rest of its life.
class SilentServer {
 public:
  SilentServer() {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    greeter_ = std::thread([this] {
      connection_ = accept(listener_, nullptr, nullptr);
      constexpr char kEmptySettings[] = "\0\0\0\4\0\0\0\0";  // Nine bytes with the last zero.
      EXPECT_EQ(write(connection_, kEmptySettings, sizeof(kEmptySettings)),
                ssize_t{sizeof(kEmptySettings)});
    });
  }
  ~SilentServer() {
    greeter_.join();
    close(connection_);
    close(listener_);
  }

  std::string target() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  int listener_ = -1;
  int port_ = 0;
  int connection_ = -1;
  std::thread greeter_;
};

constexpr CallOptions kPatient{.timeout = absl::Minutes(2)};

TEST(SilentServerTest, EndsEveryCallOnceAPingHasNoAnswer) {
  const ClientOptions options{.own_connection = true,
                              .ping_interval = absl::Milliseconds(100),
                              .ping_timeout = absl::Milliseconds(200)};
  {
    const SilentServer server;
    const auto client = DiffusionClient::Connect(server.target(), options).value();
    const absl::Status status = client->Generate({}, {}, kPatient).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  const SilentServer server;
  const auto client = DiffusionClient::Connect(server.target(), options).value();
  const absl::Status status = client->ListModels(kPatient).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(server.target()));
}

}  // namespace
}  // namespace diffusiond
