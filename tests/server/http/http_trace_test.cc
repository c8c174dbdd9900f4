// Calls of HTTP as a tracing system sees them.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/http_call.h"
#include "tests/server/http/front_requests.h"

namespace diffusiond {
namespace {

using ::testing::IsSupersetOf;
using ::testing::StartsWith;

const std::string kTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

// Of calls, without those below them. Thread-safe.
class SpansOfCalls {
 public:
  SpanSink sink() {
    return [this](const std::vector<Span>& spans) {
      absl::MutexLock lock(&mu_);
      for (const Span& span : spans) {
        if (span.kind == Span::Kind::kServer) spans_.push_back(span);
      }
    };
  }
  Span Next() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(
        +[](std::vector<Span>* spans) { return !spans->empty(); }, &spans_));
    Span span = std::move(spans_.front());
    spans_.erase(spans_.begin());
    return span;
  }

 private:
  absl::Mutex mu_;
  std::vector<Span> spans_ ABSL_GUARDED_BY(mu_);
};

std::map<std::string, std::string> AttributesOf(const Span& span) {
  std::map<std::string, std::string> attributes;
  for (const Span::Attribute& attribute : span.attributes) {
    attributes[attribute.key] =
        std::visit([](const auto& value) { return absl::StrCat(value); }, attribute.value);
  }
  return attributes;
}

class HttpTraceTest : public ::testing::Test {
 protected:
  HttpTraceTest() {
    TestServer::Options options;
    options.server.tracing.sink = spans_.sink();
    // Of requests with more steps than they get unless they ask.
    options.executor.task_fault = [](const StepTask& task) {
      return task.plan_row == 7 ? absl::InternalError("not a number") : absl::OkStatus();
    };
    server_ = std::make_unique<TestServer>(options);
    front_ = StartBefore(*server_);
  }

  SpansOfCalls spans_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<HttpFront> front_;
};

TEST_F(HttpTraceTest, SpansAreOfHttp) {
  struct Case {
    std::string request, name, route, status, code;
  };
  const std::string events = "Accept: text/event-stream\r\n";
  for (const Case& call : {
           Case{Get("/v1/generate?class=sneaker"), "GET /v1/generate", "/v1/generate", "200", "OK"},
           Case{Get("/v1/generate?steps=many"), "GET /v1/generate", "/v1/generate", "400",
                "INVALID_ARGUMENT"},
           Case{Post("/v1/generate", R"({"className": "sneaker", "sampling": {"steps": 9}})",
                     events),
                "POST /v1/generate", "/v1/generate", "200", "INTERNAL"},
           Case{Get("/v1/models"), "GET /v1/models", "/v1/models", "200", "OK"},
           Case{Get("/v1/models/none"), "GET /v1/models/*", "/v1/models/*", "404", "NOT_FOUND"},
       }) {
    SCOPED_TRACE(call.request);
    EXPECT_THAT(Ask(*front_, call.request), StartsWith(absl::StrCat("HTTP/1.1 ", call.status)));
    const Span span = spans_.Next();
    EXPECT_EQ(span.name, call.name);
    const std::map<std::string, std::string> attributes = AttributesOf(span);
    const std::map<std::string, std::string> wanted = {
        {"http.request.method", call.name.substr(0, call.name.find(' '))},
        {"http.route", call.route},
        {"http.response.status_code", call.status},
        {"diffusiond.code", call.code}};
    EXPECT_THAT(attributes, IsSupersetOf(wanted));
    for (const auto& [key, value] : attributes) EXPECT_FALSE(absl::StartsWith(key, "rpc.")) << key;
  }
}

// As by gRPC.
TEST_F(HttpTraceTest, OfSeveralTraceparentsNoneIsTheRightOne) {
  const std::string header = absl::StrCat("traceparent: ", kTrace, "\r\n");
  Ask(*front_, Get("/v1/models", header));
  EXPECT_EQ(spans_.Next().parent_id, "00f067aa0ba902b7");
  for (const std::string& other : {header, absl::StrCat("Traceparent: not one\r\n")}) {
    for (const std::string& both : {header + other, other + header}) {
      Ask(*front_, Get("/v1/models", both));
      EXPECT_EQ(spans_.Next().parent_id, "") << both;
    }
  }
}

}  // namespace
}  // namespace diffusiond
