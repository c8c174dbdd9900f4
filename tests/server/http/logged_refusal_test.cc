// Each request that is refused has one line, whoever refuses it.
#include "server/http/logged_refusal.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/logging/access_log.h"
#include "tests/server/http/front_requests.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct Refused {
  std::string request;
  int status = 0;
  const char* event;
  const char* code;
};

std::vector<Refused> EveryKind() {
  const std::string evil = "Origin: http://evil.example\r\n";
  std::string head = Get("/v1/generate");
  head.replace(0, 3, "HEAD");
  return {{Get("/nothing"), 404, "http", "NOT_FOUND"},
          {Post("/v1/models", ""), 405, "http", "UNIMPLEMENTED"},
          {head, 405, "http", "UNIMPLEMENTED"},
          {Get("/v1/models", evil), 403, "http", "PERMISSION_DENIED"},
          {Post("/v1/generate", std::string(5 << 20, ' ')), 413, "http", "RESOURCE_EXHAUSTED"},
          {Get("/", absl::StrCat("X: ", std::string(9000, 'x'), "\r\n")), 431, "http",
           "RESOURCE_EXHAUSTED"},
          {"GARBAGE\r\n\r\n", 400, "http", "INVALID_ARGUMENT"},
          {Post("/v1/generate", "no JSON"), 400, "call", "INVALID_ARGUMENT"}};
}

TEST(LoggedRefusal, EachHasOneLineOfTheAccessLog) {
  const std::string path = absl::StrCat(::testing::TempDir(), "refused-calls-", getpid());
  std::filesystem::remove(path);
  const auto calls = AccessLog::Open({.path = path}).value();
  TestServer::Options options;
  options.server.access_log = calls.get();
  TestServer server(options);
  const auto front = StartBefore(server);
  for (const Refused& refused : EveryKind()) {
    EXPECT_THAT(Ask(*front, refused.request), HasSubstr(absl::StrCat(" ", refused.status, " ")));
  }
  server.metrics().AwaitFinished(1);
  calls->Flush();
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  std::filesystem::remove(path);
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_THAT(lines, SizeIs(EveryKind().size()));
  for (size_t i = 0; i < lines.size(); ++i) {
    const Refused refused = EveryKind()[i];
    EXPECT_EQ(lines[i]["event"], refused.event);
    EXPECT_EQ(lines[i]["code"], refused.code);
    EXPECT_FALSE(std::string(lines[i]["error"]).empty());
    EXPECT_EQ(lines[i].value("status", refused.status), refused.status);
  }
  EXPECT_EQ(lines[3]["method"], "GET /v1/models");
  EXPECT_THAT(std::string(lines[3]["peer"]), StartsWith("ipv4:127.0.0.1:"));
  EXPECT_THAT(server.log(), SizeIs(0)) << "one place";
}

TEST(LoggedRefusal, WithoutOneItIsInTheLogAsFarAsThatTakesRefusals) {
  TestServer::Options options;
  options.server.refusals_logged_per_second = 1;
  options.server.now = [] { return absl::UnixEpoch(); };
  TestServer server(options);
  const auto front = StartBefore(server);
  for (int i = 0; i < 3; ++i) Ask(*front, Get("/nothing"));
  EXPECT_THAT(server.AwaitLog(1),
              Contains(AllOf(HasSubstr("http"), HasSubstr("code=NOT_FOUND status=404"))));
  EXPECT_THAT(server.metrics().AwaitLogLinesLeftOut(2), SizeIs(2));
}

TEST(HttpRoutesServed, AreToldToTheMetricsBeforeTheirFirstCall) {
  TestServer server;
  const auto front = StartBefore(server, [] { return WorkState(); });
  for (const char* method :
       {"GET /v1/generate", "POST /v1/generate", "POST /v1/images/generations",
        "POST /v1/images/edits", "GET /v1/models", "GET /v1/models/*", "GET /v1/state"}) {
    EXPECT_THAT(server.metrics().served(), Contains(method));
  }
}

}  // namespace
}  // namespace diffusiond
