#include "server/rpc/call_log.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/fake_clock.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

LogRecord Line(const std::string& text) { return LogRecord(LogLevel::kInfo, text); }

class CallLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<CallLog> MakeLog(int refusals_per_second) {
    return std::make_unique<CallLog>(CallLog::Options{
        .refusals_per_second = refusals_per_second,
        .now = clock_.AsFunction(),
        .log = [this](const LogRecord& record) { lines_.push_back(record.Text()); },
        .on_left_out = [this](const std::string& code) { counted_ += code; }});
  }

  FakeClock clock_;
  std::vector<std::string> lines_;
  std::string counted_;
};

TEST_F(CallLogTest, WritesSoManyRefusalsASecondAndTellsTheRest) {
  const auto log = MakeLog(2);
  for (const char* line : {"a", "b", "c", "d"}) log->WriteRefusal("NO", Line(line));
  log->WriteRefusal("NEVER", Line("e"));
  clock_.Advance(absl::Milliseconds(999));
  log->WriteRefusal("NO", Line("f"));
  EXPECT_THAT(lines_, ElementsAre("a", "b"));
  EXPECT_EQ(counted_, "NONONEVERNO");
  clock_.Advance(absl::Milliseconds(1));
  log->WriteRefusal("NO", Line("g"));
  log->WriteRefusal("NO", Line("h"));
  log->WriteRefusal("NO", Line("i"));
  EXPECT_THAT(lines_, ElementsAre("a", "b",
                                  "refused left_out=4 since=2023-11-14T22:13:20.000Z NEVER=1 NO=3",
                                  "g", "h"));
}

TEST_F(CallLogTest, AlwaysWritesWhatWasNotRefused) {
  const auto log = MakeLog(1);
  log->WriteRefusal("NO", Line("a"));
  log->WriteRefusal("NO", Line("b"));
  for (int i = 0; i < 100; ++i) log->Write(Line("work"));
  EXPECT_THAT(lines_, SizeIs(101));
  clock_.Advance(absl::Seconds(1));
  log->Write(Line("more"));
  ASSERT_THAT(lines_, SizeIs(103));
  EXPECT_THAT(lines_[101], HasSubstr("refused left_out=1 "));
}

TEST_F(CallLogTest, TellsTheRestAtTheEnd) {
  auto log = MakeLog(1);
  log->WriteRefusal("NO", Line("a"));
  log->WriteRefusal("NO", Line("b"));
  log.reset();
  EXPECT_THAT(lines_, ElementsAre("a", HasSubstr("refused left_out=1 ")));
  lines_.clear();
  log = MakeLog(1);
  log->WriteRefusal("NO", Line("a"));
  log.reset();
  EXPECT_THAT(lines_, ElementsAre("a"));
}

TEST_F(CallLogTest, ZeroWritesTheCountsAlone) {
  const auto log = MakeLog(0);
  log->WriteRefusal("NO", Line("a"));
  EXPECT_THAT(lines_, IsEmpty());
  clock_.Advance(absl::Hours(1));
  log->WriteRefusal("NO", Line("b"));
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("refused left_out=1 ")));
}

TEST_F(CallLogTest, GoesOnWhenTheClockIsPutBack) {
  const auto log = MakeLog(1);
  log->WriteRefusal("NO", Line("a"));
  clock_.Advance(-absl::Hours(1));
  log->WriteRefusal("NO", Line("b"));
  EXPECT_THAT(lines_, ElementsAre("a", "b"));
}

TEST(CallLogThreadsTest, CountsEveryLineOnce) {
  constexpr int kThreads = 4, kLines = 500;
  FakeClock clock;
  absl::Mutex mu;
  int written = 0, counted = 0;
  CallLog log({.refusals_per_second = 10,
               .now = clock.AsFunction(),
               .log =
                   [&](const LogRecord&) {
                     absl::MutexLock lock(&mu);
                     ++written;
                   },
               .on_left_out =
                   [&](const std::string&) {
                     absl::MutexLock lock(&mu);
                     ++counted;
                   }});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kLines; ++i) log.WriteRefusal("NO", Line("line"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(written, 10);
  EXPECT_EQ(counted, kThreads * kLines - 10);
}

// Over the real server.
TEST(RefusedCallsTest, AFloodWritesFewLines) {
  FakeClock clock;
  TestServer::Options options;
  options.server.refusals_logged_per_second = 3;
  options.server.now = clock.AsFunction();
  TestServer server(options);
  v1::GenerateRequest wrong;
  wrong.mutable_sampling()->set_sampler("no such");
  for (int i = 0; i < 50; ++i) {
    grpc::Status status;
    server.Generate(wrong, &status);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  server.metrics().AwaitFinished(50);
  EXPECT_EQ(server.metrics().AwaitLogLinesLeftOut(47),
            std::vector<std::string>(47, "INVALID_ARGUMENT"));
  EXPECT_THAT(server.log(), SizeIs(3));

  // Work is told, whatever became of it.
  server.Generate({});
  EXPECT_THAT(server.AwaitLog(4).back(), HasSubstr("code=OK"));
  clock.Advance(absl::Seconds(1));
  server.Generate({});
  const std::vector<std::string> log = server.AwaitLog(6);
  EXPECT_THAT(log[4], HasSubstr("refused left_out=47 "));
  EXPECT_THAT(log[4], HasSubstr(" INVALID_ARGUMENT=47"));
}

TEST(RefusedCallsTest, WorkThatFailsIsNoRefusal) {
  TestServer::Options options;
  options.server.refusals_logged_per_second = 0;
  options.puppet = true;  // Nothing moves.
  TestServer server(options);
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext call;
    const auto reader = server.stub().Generate(&call, {});
    v1::GenerateEvent accepted;
    ASSERT_TRUE(reader->Read(&accepted));
    call.TryCancel();
    reader->Finish();
    EXPECT_THAT(server.AwaitLog(static_cast<size_t>(i) + 1).back(), HasSubstr("code=CANCELLED"));
  }
}

}  // namespace
}  // namespace diffusiond
