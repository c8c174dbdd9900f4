#include "client/load/load_tables.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct RunDone {
  LoadPlan plan = {};
  LoadResult result = {};
};

// One request that was ok, one refused, one not sent.
RunDone SmallRun() {
  RunDone run;
  run.plan.mix = ParseLoadMix("short; long").value();
  run.plan.requests = {
      {absl::Seconds(1), 0, 11}, {absl::Seconds(2), 1, 12}, {absl::Seconds(3), 0, 13}};
  run.result.window = absl::Seconds(4);
  LoadRecord ok;
  ok.intended = 1;
  ok.sent = 1.0001;
  ok.accepted = 1.001;
  ok.first_preview = 1.01;
  ok.first_image = 1.02;
  ok.finished = 1.5;
  ok.outcome = LoadOutcome::kOk;
  ok.images = 2;
  ok.previews = 3;
  ok.bytes = 99;
  ok.deadline_met = true;
  LoadRecord refused;
  refused.entry = 1;
  refused.intended = 2;
  refused.sent = 2;
  refused.finished = 2.003;
  refused.outcome = LoadOutcome::kRefused;
  refused.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
  refused.pushback_ms = 750;
  LoadRecord not_sent;
  not_sent.intended = 3;
  not_sent.outcome = LoadOutcome::kNotSent;
  run.result.records = {ok, refused, not_sent};
  return run;
}

TEST(LoadCsvTest, HasALineForEachRequestWithEmptyCellsForWhatNeverWas) {
  const RunDone run = SmallRun();
  EXPECT_EQ(LoadCsv(run.plan, run.result, "first"),
            std::string(kLoadCsvHeader) +
                "\n"
                "first,0,short,11,1.000000,1.000100,1.001000,1.010000,1.020000,1.500000,"
                "ok,OK,2,3,99,1,\n"
                "first,1,long,12,2.000000,2.000000,,,,2.003000,"
                "refused,RESOURCE_EXHAUSTED,0,0,0,0,750\n"
                "first,2,short,13,3.000000,,,,,,not_sent,,0,0,0,0,\n");
}

TEST(LoadCsvTest, EachLineHasTheHeadersColumns) {
  const RunDone run = SmallRun();
  const std::string csv = LoadCsv(run.plan, run.result, "");
  const size_t columns = std::vector<std::string>(absl::StrSplit(kLoadCsvHeader, ',')).size();
  for (const absl::string_view line : absl::StrSplit(csv, '\n', absl::SkipEmpty())) {
    EXPECT_EQ(std::vector<std::string>(absl::StrSplit(line, ',')).size(), columns) << line;
  }
}

TEST(LoadCsvTest, QuotesALabelThatNeedsIt) {
  const RunDone run = SmallRun();
  EXPECT_THAT(LoadCsv(run.plan, run.result, "a, \"b\""), HasSubstr("\n\"a, \"\"b\"\"\",0,short"));
}

TEST(LoadTablesTest, TellWhatWasMeasuredAndWhatWasNot) {
  const RunDone run = SmallRun();
  const std::string text = LoadTables(MakeLoadReport(run.plan, run.result));
  EXPECT_THAT(
      text,
      HasSubstr("REQUESTS  PLANNED  SENT  OK  REFUSED  DEADLINE  CANCELLED  FAILED  NOT SENT\n"
                "short     2        1     1   0        0         0          0       1\n"
                "long      1        1     0   1        0         0          0       0\n"
                "all       3        2     1   1        0         0          0       1\n"));
  EXPECT_THAT(text, HasSubstr("short         500   500  500  500  500  10.0"));
  EXPECT_THAT(text, HasSubstr("long          -     -    -    -    -    -"));
  EXPECT_THAT(text, HasSubstr("REFUSED AFTER (ms)  P50  P99  MAX\n"));
  EXPECT_THAT(text, HasSubstr("long                3.0  3.0  3.0\n"));
  EXPECT_THAT(text, HasSubstr("warning: 1 requests were not sent"));
}

TEST(LoadTablesTest, LeaveOutWhatSaysNothing) {
  RunDone run = SmallRun();
  run.plan.mix.entries.pop_back();
  run.plan.requests.resize(1);
  run.result.records.resize(1);
  const std::string text = LoadTables(MakeLoadReport(run.plan, run.result));
  EXPECT_THAT(text, Not(HasSubstr("REFUSED AFTER")));
  EXPECT_THAT(text, Not(HasSubstr("\nall ")));
  EXPECT_THAT(text, Not(HasSubstr("warning")));
}

}  // namespace
}  // namespace diffusiond
