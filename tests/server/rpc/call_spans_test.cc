#include "server/rpc/call_spans.h"

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

class CallSpansTest : public ::testing::Test {
 protected:
  // The call's own.
  Span Of(const EndedCall& call) {
    LogRecord line(LogLevel::kInfo, "call");
    line.Add("method", call.method)
        .Add("code", absl::StatusCodeToString(call.status.code()))
        .Add("tenant", "shop");
    return SpansOfCall(tracer_, {.trace_id = "t", .span_id = "s"}, call, line, std::nullopt)
        .front();
  }
  static std::map<std::string, std::string> AttributesOf(const Span& span) {
    std::map<std::string, std::string> attributes;
    for (const Span::Attribute& attribute : span.attributes) {
      attributes[attribute.key] =
          std::visit([](const auto& value) { return absl::StrCat(value); }, attribute.value);
    }
    return attributes;
  }

  const Tracer tracer_{{}, [] { return uint64_t{1}; }};
};

TEST_F(CallSpansTest, OneOfGrpcIsNamedByItsServiceAndMethod) {
  const Span span = Of({.method = "Generate", .status = absl::NotFoundError("none")});
  EXPECT_EQ(span.name, "diffusiond.v1.DiffusionService/Generate");
  EXPECT_THAT(AttributesOf(span),
              ElementsAre(Pair("diffusiond.tenant", "shop"), Pair("rpc.grpc.status_code", "5"),
                          Pair("rpc.method", "Generate"),
                          Pair("rpc.service", "diffusiond.v1.DiffusionService"),
                          Pair("rpc.system", "grpc")));
}

TEST_F(CallSpansTest, OneOfHttpIsNamedByItsMethodAndRoute) {
  const Span span =
      Of({.method = "GET /v1/models/*", .http_status = 404, .status = absl::NotFoundError("none")});
  EXPECT_EQ(span.name, "GET /v1/models/*");
  EXPECT_THAT(
      AttributesOf(span),
      ElementsAre(Pair("diffusiond.code", "NOT_FOUND"), Pair("diffusiond.tenant", "shop"),
                  Pair("http.request.method", "GET"), Pair("http.response.status_code", "404"),
                  Pair("http.route", "/v1/models/*")));
}

TEST_F(CallSpansTest, OneWhoseClientWentBeforeTheAnswerHasNoStatus) {
  const Span span =
      Of({.method = "POST /v1/generate", .status = absl::CancelledError("went away")});
  EXPECT_THAT(AttributesOf(span), Not(Contains(Key("http.response.status_code"))));
}

}  // namespace
}  // namespace diffusiond
