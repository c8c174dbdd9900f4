#include "server/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/server_metrics.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// GET over a loopback socket; the whole answer, headers included.
std::string Get(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, n);
  close(fd);
  return answer;
}

class MetricsServerTest : public ::testing::Test {
 protected:
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  ServerMetrics metrics_{registry_.get(), "1.2.3"};
};

TEST_F(MetricsServerTest, ServesTheRegistry) {
  auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string answer = Get((*server)->port(), "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("diffusiond_build_info{version=\"1.2.3\"} 1"));
}

TEST_F(MetricsServerTest, SaysThatAnAddressIsTaken) {
  auto first = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(first.ok());
  const std::string taken = absl::StrCat("127.0.0.1:", (*first)->port());
  const absl::Status status = MetricsServer::Start(taken, registry_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(taken));
}

TEST_F(MetricsServerTest, RefusesWhatIsNoAddress) {
  for (const char* listen :
       {"", "9464", ":9464", "localhost", "localhost:", "localhost:http", "localhost:70000",
        "localhost:-1", "127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1s"}) {
    const absl::Status status = MetricsServer::Start(listen, registry_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << listen;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("'", listen, "'")));
  }
}

TEST_F(MetricsServerTest, PromtoolHasNothingToSay) {
  if (system("command -v promtool > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool (Debian package prometheus) is not in PATH";
  }
  // Every series that can exist.
  metrics_.ModelLoaded("m", 0, "abcd", "cpu", 4);
  metrics_.RequestStarted("Generate");
  metrics_.RequestFinished("Generate", "OK", absl::Seconds(1));
  metrics_.ImageSent("png", 1);
  metrics_.OnStep({.model = "m",
                   .network_rows = 3,
                   .micro_batch = 4,
                   .capacity = 8,
                   .duration = absl::Seconds(1)});
  metrics_.WorkerUp("cpu", true);

  auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  Get((*server)->port(), "/metrics");  // The exposer's own series appear with the first scrape.
  const std::string answer = Get((*server)->port(), "/metrics");
  const std::string stem = absl::StrCat(::testing::TempDir(), "/promtool_", getpid());
  std::ofstream(stem + ".in") << answer.substr(answer.find("\r\n\r\n") + 4);
  const int rc =
      system(absl::StrCat("promtool check metrics < ", stem, ".in > ", stem, ".out 2>&1").c_str());
  std::stringstream said;
  said << std::ifstream(stem + ".out").rdbuf();
  EXPECT_EQ(rc, 0);
  EXPECT_THAT(said.str(), IsEmpty());
  unlink((stem + ".in").c_str());
  unlink((stem + ".out").c_str());
}

}  // namespace
}  // namespace diffusiond
