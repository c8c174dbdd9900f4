#include "server/tracing/span_exporter.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/tracing/http_post.h"
#include "server/tracing/trace_context.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Span Named(const std::string& name) {
  return {.trace_id = TraceIdOf(1, 2),
          .span_id = SpanIdOf(3),
          .parent_id = {},
          .name = name,
          .start = absl::FromUnixNanos(1700000000123456789),
          .end = absl::FromUnixNanos(1700000000223456789)};
}

TEST(OtlpJsonTest, IsAnExportTraceServiceRequest) {
  Span span = Named("draw");
  span.parent_id = SpanIdOf(4);
  span.trace_state = "rojo=1,congo=2";
  span.kind = Span::Kind::kServer;
  span.attributes = {{"text", std::string("t")}, {"whole", int64_t{5}}, {"real", 0.5}};
  span.error = "it broke";
  const auto read = nlohmann::json::parse(OtlpJson(
      {.service_name = "s", .service_version = "1", .instance_id = "i"}, {span, Named("root")}));
  EXPECT_EQ(read, nlohmann::json::parse(R"({"resourceSpans": [{
    "resource": {"attributes": [
      {"key": "service.name", "value": {"stringValue": "s"}},
      {"key": "service.version", "value": {"stringValue": "1"}},
      {"key": "service.instance.id", "value": {"stringValue": "i"}}]},
    "scopeSpans": [{"scope": {"name": "diffusiond", "version": "1"}, "spans": [
      {"traceId": "00000000000000010000000000000002", "spanId": "0000000000000003",
       "traceState": "rojo=1,congo=2",
       "parentSpanId": "0000000000000004", "name": "draw", "kind": 2,
       "startTimeUnixNano": "1700000000123456789", "endTimeUnixNano": "1700000000223456789",
       "attributes": [{"key": "text", "value": {"stringValue": "t"}},
                      {"key": "whole", "value": {"intValue": "5"}},
                      {"key": "real", "value": {"doubleValue": 0.5}}],
       "status": {"code": 2, "message": "it broke"}},
      {"traceId": "00000000000000010000000000000002", "spanId": "0000000000000003",
       "name": "root", "kind": 1, "startTimeUnixNano": "1700000000123456789",
       "endTimeUnixNano": "1700000000223456789", "attributes": []}]}]}]})"));
}

// A collector that answers as it is told to.
class SpanExporterTest : public ::testing::Test {
 protected:
  std::unique_ptr<SpanExporter> Make(size_t max_queued = 1000) {
    SpanExporter::Options options;
    options.post = [this](const std::string& body, const std::function<bool()>& give_up) {
      return Answer(body, give_up);
    };
    options.max_queued = max_queued;
    options.collect = absl::ZeroDuration();
    options.retry_after = absl::ZeroDuration();
    options.last_words = last_words_;
    options.on_spans = [this](const std::string& outcome, size_t spans) {
      absl::MutexLock lock(&mu_);
      counted_[outcome] += spans;
    };
    options.log = [this](const LogRecord& record) {
      absl::MutexLock lock(&mu_);
      told_.push_back(record.Text());
    };
    return std::make_unique<SpanExporter>(std::move(options));
  }

  absl::Status Answer(const std::string& body, const std::function<bool()>& give_up) {
    absl::MutexLock lock(&mu_);
    posted_ += 1;
    mu_.Await(absl::Condition(&answers_));
    if (answer_when_given_up_) {
      mu_.Unlock();
      while (!give_up()) {
      }
      mu_.Lock();
      return absl::CancelledError("given up");
    }
    absl::Status status;
    if (!next_.empty()) {
      status = next_.front();
      next_.pop_front();
    }
    if (status.ok()) bodies_.push_back(body);
    return status;
  }

  void AwaitPosts(int posts) {
    absl::MutexLock lock(&mu_);
    const auto reached = [this, posts]()
                             ABSL_SHARED_LOCKS_REQUIRED(mu_) { return posted_ >= posts; };
    mu_.Await(absl::Condition(&reached));
  }
  void SetAnswers(bool answers) {
    absl::MutexLock lock(&mu_);
    answers_ = answers;
  }

  absl::Duration last_words_ = absl::Hours(1);
  absl::Mutex mu_;
  bool answers_ = true;
  bool answer_when_given_up_ = false;
  int posted_ = 0;
  std::deque<absl::Status> next_;
  std::vector<std::string> bodies_;
  std::map<std::string, size_t> counted_;
  std::vector<std::string> told_;
};

using Counts = std::map<std::string, size_t>;

TEST_F(SpanExporterTest, SendsWhatItIsGivenAtTheLatestAtTheEnd) {
  auto exporter = Make();
  for (int i = 0; i < 10; ++i) exporter->Export({Named("a"), Named("b")});
  exporter.reset();
  size_t sent = 0;
  for (const std::string& body : bodies_) {
    sent += nlohmann::json::parse(body)["resourceSpans"][0]["scopeSpans"][0]["spans"].size();
  }
  EXPECT_EQ(sent, 20u);
  EXPECT_EQ(counted_, (Counts{{"sent", 20}}));
}

TEST_F(SpanExporterTest, DropsAndCountsWhileTheCollectorIsSlow) {
  SetAnswers(false);
  auto exporter = Make(/*max_queued=*/5);
  exporter->Export({Named("in its hands")});
  AwaitPosts(1);
  exporter->Export({Named("1"), Named("2"), Named("3")});
  exporter->Export({Named("4"), Named("5"), Named("6"), Named("7")});
  {
    absl::MutexLock lock(&mu_);
    EXPECT_EQ(counted_, (Counts{{"queue", 2}}));
  }
  SetAnswers(true);
  exporter.reset();
  EXPECT_EQ(counted_, (Counts{{"queue", 2}, {"sent", 6}}));
}

TEST_F(SpanExporterTest, AsksSomeTimesWhoCannotNowAndThenGoesOn) {
  for (int i = 0; i < 2; ++i) next_.push_back(absl::UnavailableError("busy"));
  next_.push_back(absl::OkStatus());
  for (int i = 0; i < 3; ++i) next_.push_back(absl::UnavailableError("down"));
  next_.push_back(absl::FailedPreconditionError("HTTP status 400"));
  auto exporter = Make();
  const int posts[] = {3, 6, 7, 8};
  for (const int so_far : posts) {
    exporter->Export({Named("x")});
    AwaitPosts(so_far);
  }
  exporter.reset();
  EXPECT_EQ(posted_, 8);
  EXPECT_EQ(counted_, (Counts{{"sent", 2}, {"collector", 2}}));
  EXPECT_THAT(told_, ElementsAre(HasSubstr("state=\"takes nothing\" error=down"),
                                 HasSubstr("state=\"takes spans again\"")));
}

TEST_F(SpanExporterTest, EndsThoughTheCollectorHangs) {
  answer_when_given_up_ = true;
  last_words_ = absl::Milliseconds(1);
  auto exporter = Make();
  exporter->Export({Named("x")});
  AwaitPosts(1);
  exporter->Export(std::vector<Span>(600, Named("y")));
  exporter.reset();
  EXPECT_EQ(counted_, (Counts{{"collector", 601}}));
}

TEST(HttpPostTest, TakesHttpUrlsAlone) {
  for (const char* url : {"http://localhost:4318/v1/traces", "https://c.example/x?y=1",
                          "HTTP://[::1]:4318/v1/traces"}) {
    EXPECT_TRUE(CheckHttpUrl(url).ok()) << url;
  }
  for (const char* url : {"", "localhost:4318", "ftp://a/b", "file:///etc/passwd", "http://",
                          "http://a b/", "http://host:99999/"}) {
    EXPECT_FALSE(CheckHttpUrl(url).ok()) << url;
  }
}

TEST(HttpPostTest, NobodyThereIsUnavailable) {
  const absl::Status status =
      PostJson("http://127.0.0.1:1/v1/traces", "{}", absl::Seconds(10), [] { return false; });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

}  // namespace
}  // namespace diffusiond
