// Runs against a server in this process. Where a test needs time to pass, it moves the run's clock.
#include "client/load/load_run.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "client/load/load_report.h"
#include "client/rpc_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

// `count` requests, a millisecond apart, taking the mix's entries in turn.
LoadPlan PlanOf(const std::string& mix, size_t count) {
  LoadPlan plan{.mix = ParseLoadMix(mix).value()};
  for (size_t i = 0; i < count; ++i) {
    plan.requests.push_back(
        {.at = absl::Milliseconds(i), .entry = i % plan.mix.entries.size(), .seed = 100 + i});
  }
  plan.window = plan.requests.back().at;
  return plan;
}

LoadResult RunOn(const FakeDiffusionServer& server, const LoadPlan& plan,
                 LoadRunOptions options = {}) {
  options.target = server.target();
  // What hangs should fail its test, not time out.
  options.drain_timeout = std::min(options.drain_timeout, absl::Seconds(20));
  return RunLoad(plan, options).value();
}

// A clock that stands still until it is moved.
class MovedClock {
 public:
  std::function<absl::Duration()> now() {
    return [this] { return absl::Nanoseconds(nanoseconds_.load()); };
  }
  void MoveTo(absl::Duration time) { nanoseconds_ = absl::ToInt64Nanoseconds(time); }

 private:
  std::atomic<int64_t> nanoseconds_ = 0;
};

TEST(LoadRunTest, RecordsWhatCame) {
  const auto events = TinyStream(2, 3);
  uint64_t bytes = 0;
  for (const v1::GenerateEvent& event : events) {
    bytes += event.preview().data().size() + event.image().data().size();
  }
  const FakeDiffusionServer server({.events = events});
  const LoadResult result = RunOn(server, PlanOf("only steps=3", 3));
  ASSERT_EQ(result.records.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const LoadRecord& record = result.records[i];
    EXPECT_EQ(record.intended, 0.001 * static_cast<double>(i));
    EXPECT_LE(record.intended, record.sent);
    EXPECT_LE(record.sent, record.accepted);
    EXPECT_LE(record.accepted, record.first_preview);
    EXPECT_LE(record.first_preview, record.first_image);
    EXPECT_LE(record.first_image, record.finished);
    EXPECT_EQ(record.outcome, LoadOutcome::kOk);
    EXPECT_EQ(record.code, grpc::StatusCode::OK);
    EXPECT_EQ(record.images, 2u);
    EXPECT_EQ(record.previews, 12u);
    EXPECT_EQ(record.bytes, bytes);
    EXPECT_TRUE(record.deadline_met);
    EXPECT_FALSE(record.pushback_ms.has_value());
  }
  EXPECT_TRUE(result.first_failure.ok());
  EXPECT_FALSE(result.stopped);
}

TEST(LoadRunTest, SendsWhatThePlanSays) {
  const FakeDiffusionServer server({.events = TinyStream(1, 1)});
  RunOn(server, PlanOf("a steps=20 tenant=acme priority=low; b steps=30", 2), {.channels = 1});
  const auto calls = server.calls();
  ASSERT_EQ(calls.size(), 2u);
  const size_t a = calls[0].tenant.empty() ? 1 : 0;  // Which comes first is up to the threads.
  EXPECT_EQ(calls[a].tenant, "acme");
  EXPECT_EQ(calls[a].request.sampling().steps(), 20u);
  EXPECT_EQ(calls[a].request.seed(), 100u);
  EXPECT_EQ(calls[a].request.priority(), v1::PRIORITY_LOW);
  EXPECT_EQ(calls[1 - a].request.sampling().steps(), 30u);
  EXPECT_EQ(calls[1 - a].request.seed(), 101u);
  EXPECT_EQ(calls[1 - a].tenant, "");
  EXPECT_EQ(calls[1 - a].deadline, absl::InfiniteFuture());
}

TEST(LoadRunTest, TakesItsConnectionsInTurn) {
  for (const int channels : {1, 3}) {
    const FakeDiffusionServer server({.events = TinyStream(1, 1)});
    RunOn(server, PlanOf("only", 6), {.channels = channels});
    std::map<std::string, int> calls_of_peer;
    for (const FakeCall& call : server.calls()) ++calls_of_peer[call.peer];
    EXPECT_EQ(calls_of_peer.size(), static_cast<size_t>(channels));
    for (const auto& [peer, calls] : calls_of_peer) EXPECT_EQ(calls, 6 / channels) << peer;
  }
}

// A closed loop would wait for the first answer, which waits for the last request.
TEST(LoadRunTest, SendsOnWhileTheServerAnswersNothing) {
  constexpr size_t kCount = 20;
  const FakeDiffusionServer server({.events = TinyStream(1, 1), .hold_until_calls = kCount});
  const LoadPlan plan = PlanOf("only", kCount);
  const LoadResult result = RunOn(server, plan);
  for (size_t i = 0; i < kCount; ++i) {
    const LoadRecord& record = result.records[i];
    EXPECT_EQ(record.outcome, LoadOutcome::kOk);
    EXPECT_GE(record.accepted, result.records.back().sent);
    // So the earlier it was to be sent, the longer it waited.
    EXPECT_GE(record.finished - record.intended,
              absl::ToDoubleSeconds(plan.window) - record.intended);
  }
}

// The whole generator is held up for ten seconds: what it sends late counts from when it should
// have been sent.
TEST(LoadRunTest, CountsTheWholeWaitAlsoOfWhatItSendsLate) {
  MovedClock clock;
  const FakeDiffusionServer server({.events = TinyStream(1, 1),
                                    .hold_until_calls = 3,
                                    .on_generate = [&] { clock.MoveTo(absl::Seconds(10)); }});
  const LoadPlan plan = PlanOf("only", 3);
  const LoadResult result = RunOn(server, plan, {.now = clock.now()});
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(result.records[i].intended, 0.001 * static_cast<double>(i));
    EXPECT_EQ(result.records[i].sent, 10);
    EXPECT_EQ(result.records[i].finished, 10);
  }
  const LoadReport report = MakeLoadReport(plan, result);
  EXPECT_EQ(report.all.latency_max, 10);
  EXPECT_NEAR(report.all.latency_p50, 9.999, 1e-9);
  EXPECT_NEAR(report.lateness_p99, 9.999, 1e-9);
  EXPECT_FALSE(report.warnings.empty());
}

TEST(LoadRunTest, TheDeadlineCountsFromTheIntendedTime) {
  MovedClock clock;
  const FakeDiffusionServer server({.events = TinyStream(1, 1),
                                    .hold_until_calls = 2,
                                    .on_generate = [&] { clock.MoveTo(absl::Minutes(30)); }});
  const absl::Time before = absl::Now();
  const LoadResult result =
      RunOn(server, PlanOf("first; second deadline=1h", 2), {.now = clock.now()});
  const auto calls = server.calls();
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].deadline, absl::InfiniteFuture());
  EXPECT_GT(calls[1].deadline, before + absl::Minutes(29));
  EXPECT_LT(calls[1].deadline, before + absl::Minutes(45));
  EXPECT_TRUE(result.records[1].deadline_met);
}

TEST(LoadRunTest, AnAnswerAfterTheDeadlineDoesNotMeetIt) {
  MovedClock clock;
  // What the server's clock says does not matter here: it is the run's that is moved on.
  const FakeDiffusionServer server(
      {.events = TinyStream(1, 1), .on_generate = [&] { clock.MoveTo(absl::Hours(2)); }});
  const LoadResult result = RunOn(server, PlanOf("only deadline=1h", 1), {.now = clock.now()});
  EXPECT_EQ(result.records[0].outcome, LoadOutcome::kOk);
  EXPECT_FALSE(result.records[0].deadline_met);
}

TEST(LoadRunTest, ADeadlineEndsTheCall) {
  const FakeDiffusionServer server({.wait_for_cancel = true});
  const LoadResult result = RunOn(server, PlanOf("only deadline=10ms", 2));
  for (const LoadRecord& record : result.records) {
    EXPECT_EQ(record.outcome, LoadOutcome::kDeadlineExceeded);
    EXPECT_EQ(record.code, grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_FALSE(record.deadline_met);
  }
  EXPECT_TRUE(result.first_failure.ok());
}

TEST(LoadRunTest, RecordsRefusalAndPushback) {
  const FakeDiffusionServer server(
      {.status = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full"),
       .trailers = {{"grpc-retry-pushback-ms", "750"}}});
  const LoadResult result = RunOn(server, PlanOf("only", 2));
  for (const LoadRecord& record : result.records) {
    EXPECT_EQ(record.outcome, LoadOutcome::kRefused);
    EXPECT_EQ(record.pushback_ms, 750);
    EXPECT_TRUE(std::isnan(record.accepted));
    EXPECT_FALSE(std::isnan(record.finished));
  }
  EXPECT_EQ(server.calls().size(), 2u);  // Not tried again.
  EXPECT_TRUE(result.first_failure.ok());
}

TEST(LoadRunTest, CancelsAfterTheEntrysTime) {
  const FakeDiffusionServer server({.events = TinyStream(1, 1), .wait_for_cancel = true});
  const LoadResult result = RunOn(server, PlanOf("only cancel_after=20ms", 3));
  for (const LoadRecord& record : result.records) {
    EXPECT_EQ(record.outcome, LoadOutcome::kCancelled);
    EXPECT_EQ(record.code, grpc::StatusCode::CANCELLED);
    EXPECT_GE(record.finished, record.intended + 0.020);
  }
  EXPECT_TRUE(result.first_failure.ok());
  EXPECT_FALSE(result.stopped);
}

TEST(LoadRunTest, ACancellationOfTheServersIsAFailure) {
  const FakeDiffusionServer server(
      {.status = grpc::Status(grpc::StatusCode::CANCELLED, "why not")});
  const LoadResult result = RunOn(server, PlanOf("only", 1));
  EXPECT_EQ(result.records[0].outcome, LoadOutcome::kFailed);
  EXPECT_EQ(result.first_failure.code(), absl::StatusCode::kCancelled);
}

TEST(LoadRunTest, WhatIsAboveTheInFlightLimitIsNotSentAndCounted) {
  const FakeDiffusionServer server({.wait_for_cancel = true});
  const auto cancellation = Cancellation::Create().value();
  LoadRunOptions options{.max_in_flight = 2,
                         .cancellation = cancellation.get(),
                         .on_progress =
                             [&](const LoadProgress& progress) {
                               if (progress.not_sent == 3) cancellation->Cancel();
                             },
                         .progress_interval = absl::Milliseconds(1)};
  const LoadResult result = RunOn(server, PlanOf("only", 5), options);
  for (size_t i = 0; i < 5; ++i) {
    const LoadRecord& record = result.records[i];
    EXPECT_EQ(record.outcome, i < 2 ? LoadOutcome::kCancelled : LoadOutcome::kNotSent) << i;
    EXPECT_EQ(std::isnan(record.sent), i >= 2);
    EXPECT_EQ(std::isnan(record.finished), i >= 2);
  }
  EXPECT_LE(server.calls().size(), 2u);
}

TEST(LoadRunTest, AStopCancelsWhatRunsAndSendsNoMore) {
  const FakeDiffusionServer server({.wait_for_cancel = true});
  const auto cancellation = Cancellation::Create().value();
  LoadPlan plan = PlanOf("only", 3);
  plan.requests.back().at = absl::Hours(10);
  plan.window = absl::Hours(10);
  LoadRunOptions options{.cancellation = cancellation.get(),
                         .on_progress =
                             [&](const LoadProgress& progress) {
                               if (progress.sent == 2) cancellation->Cancel();
                             },
                         .progress_interval = absl::Milliseconds(1)};
  const LoadResult result = RunOn(server, plan, options);
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.records[0].outcome, LoadOutcome::kCancelled);
  EXPECT_EQ(result.records[1].outcome, LoadOutcome::kCancelled);
  EXPECT_EQ(result.records[2].outcome, LoadOutcome::kStopped);
  EXPECT_LT(result.window, absl::Hours(10));
  EXPECT_TRUE(result.first_failure.ok());
}

TEST(LoadRunTest, WhatNeverEndsIsCancelledAfterTheDrainAndFails) {
  const FakeDiffusionServer server({.wait_for_cancel = true});
  const LoadResult result =
      RunOn(server, PlanOf("only", 2), {.drain_timeout = absl::Milliseconds(20)});
  for (const LoadRecord& record : result.records) {
    EXPECT_EQ(record.outcome, LoadOutcome::kFailed);
  }
  EXPECT_EQ(result.first_failure.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(result.first_failure.message()), HasSubstr("20ms"));
}

TEST(LoadRunTest, AnOkStreamWithSomethingMissingIsAFailure) {
  auto no_completed = TinyStream(2, 1);
  no_completed.pop_back();
  auto no_image = TinyStream(2, 1);
  no_image.erase(no_image.end() - 2);
  for (const auto& events : {no_completed, no_image}) {
    const FakeDiffusionServer server({.events = events});
    const LoadResult result = RunOn(server, PlanOf("only", 1));
    EXPECT_EQ(result.records[0].outcome, LoadOutcome::kFailed);
    EXPECT_EQ(result.records[0].code, grpc::StatusCode::OK);
    EXPECT_EQ(result.first_failure.code(), absl::StatusCode::kInternal);
  }
}

TEST(LoadRunTest, ProgressAddsUp) {
  const FakeDiffusionServer server({.events = TinyStream(1, 1)});
  LoadProgress last;
  int64_t calls = 0;
  LoadRunOptions options{.on_progress = [&](const LoadProgress& progress) {
    EXPECT_EQ(progress.sent, progress.in_flight + progress.ok + progress.refused + progress.other);
    EXPECT_GE(progress.elapsed, last.elapsed);
    last = progress;
    ++calls;
  }};
  RunOn(server, PlanOf("only", 10), options);
  EXPECT_GE(calls, 2);
  EXPECT_EQ(last.planned, 10);
  EXPECT_EQ(last.ok, 10);
  EXPECT_EQ(last.in_flight, 0);
}

TEST(LoadRunTest, NoServerIsAnErrorBeforeAnythingIsSent) {
  const absl::Status status = RunLoad(PlanOf("only", 1), {.target = "127.0.0.1:1"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(IsUnreachable(status));
}

TEST(LoadRunTest, OptionsOutOfRangeAreToldOf) {
  const std::pair<LoadRunOptions, const char*> faults[] = {
      {{.target = ""}, "address is empty"},
      {{.target = "x", .channels = 0}, "--channels=0, expected 1 .. 64"},
      {{.target = "x", .channels = 65}, "--channels=65, expected 1 .. 64"},
      {{.target = "x", .max_in_flight = 0}, "--max_in_flight=0, expected 1 .. 100000"},
      {{.target = "x", .max_in_flight = 100'001}, "expected 1 .. 100000"},
      {{.target = "x", .drain_timeout = absl::ZeroDuration()}, "expected above 0"},
  };
  for (const auto& [options, says] : faults) {
    const absl::Status status = RunLoad(PlanOf("only", 1), options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << says;
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
  }
}

}  // namespace
}  // namespace diffusiond
