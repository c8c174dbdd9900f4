#include "client/load/load_report.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(ExactQuantileTest, IsTheNearestRank) {
  const std::vector<double> ten = {7, 1, 10, 4, 2, 9, 3, 8, 6, 5};
  EXPECT_EQ(ExactQuantile(ten, 0.5), 5);
  EXPECT_EQ(ExactQuantile(ten, 0.51), 6);
  EXPECT_EQ(ExactQuantile(ten, 0.9), 9);
  EXPECT_EQ(ExactQuantile(ten, 0.99), 10);
  EXPECT_EQ(ExactQuantile(ten, 1), 10);
  EXPECT_EQ(ExactQuantile(ten, 0.001), 1);
  std::vector<double> hundred;
  for (int i = 1; i <= 100; ++i) hundred.push_back(i);
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(ExactQuantile(hundred, 0.01 * i), i);
}

TEST(ExactQuantileTest, LeavesNaNOut) {
  EXPECT_EQ(ExactQuantile(std::vector<double>{kNaN, 2, kNaN, 1}, 0.5), 1);
  EXPECT_TRUE(std::isnan(ExactQuantile(std::vector<double>{kNaN}, 0.5)));
  EXPECT_TRUE(std::isnan(ExactQuantile({}, 0.5)));
}

// Two kinds of requests: four of a, then two of b.
class LoadReportTest : public testing::Test {
 protected:
  LoadReportTest() {
    plan_.mix = ParseLoadMix("a; b").value();
    result_.window = absl::Seconds(10);
    Add(Ok(0, 0, 2, 1));
    Add(Ok(0, 1, 5, 2));
    result_.records.back().first_preview = 1.5;
    LoadRecord refused = Ended(0, 2, 2.25, LoadOutcome::kRefused);
    Add(refused);
    LoadRecord late = Ended(0, 3, 6, LoadOutcome::kDeadlineExceeded);
    late.images = 1;
    late.first_preview = 5;
    Add(late);
    LoadRecord unmet = Ok(1, 8, 16, 4);  // After the window.
    unmet.deadline_met = false;
    Add(unmet);
    LoadRecord not_sent;
    not_sent.entry = 1;
    not_sent.intended = 9;
    not_sent.outcome = LoadOutcome::kNotSent;
    Add(not_sent);
  }

  static LoadRecord Ended(size_t entry, double intended, double finished, LoadOutcome outcome) {
    LoadRecord record;
    record.entry = entry;
    record.intended = intended;
    record.sent = intended + 0.001;
    record.finished = finished;
    record.outcome = outcome;
    record.bytes = 10;
    return record;
  }

  static LoadRecord Ok(size_t entry, double intended, double finished, uint32_t images) {
    LoadRecord record = Ended(entry, intended, finished, LoadOutcome::kOk);
    record.images = images;
    record.previews = 3;
    record.deadline_met = true;
    return record;
  }

  void Add(const LoadRecord& record) {
    plan_.requests.push_back({absl::Seconds(record.intended), record.entry, 1});
    result_.records.push_back(record);
  }

  LoadReport Report() const { return MakeLoadReport(plan_, result_); }

  LoadPlan plan_;
  LoadResult result_;
};

TEST_F(LoadReportTest, CountsByEntryAndInAll) {
  const LoadReport report = Report();
  ASSERT_EQ(report.entries.size(), 2u);
  const LoadNumbers& a = report.entries[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.planned, 4);
  EXPECT_EQ(a.sent, 4);
  EXPECT_EQ(a.ok, 2);
  EXPECT_EQ(a.refused, 1);
  EXPECT_EQ(a.deadline_exceeded, 1);
  EXPECT_EQ(a.not_sent, 0);
  EXPECT_EQ(a.images, 4);
  EXPECT_EQ(a.previews, 6);
  EXPECT_EQ(a.bytes, 40u);
  const LoadNumbers& b = report.entries[1];
  EXPECT_EQ(b.planned, 2);
  EXPECT_EQ(b.sent, 1);
  EXPECT_EQ(b.not_sent, 1);
  EXPECT_EQ(report.all.name, "all");
  EXPECT_EQ(report.all.planned, 6);
  EXPECT_EQ(report.all.sent, 5);
  EXPECT_EQ(report.all.ok, 3);
  EXPECT_EQ(report.all.images, 8);
}

TEST_F(LoadReportTest, LatenciesAreOfTheOkOnesFromTheirIntendedTime) {
  const LoadReport report = Report();
  EXPECT_DOUBLE_EQ(report.entries[0].latency_mean, 3);
  EXPECT_DOUBLE_EQ(report.entries[0].latency_p50, 2);
  EXPECT_DOUBLE_EQ(report.entries[0].latency_p90, 4);
  EXPECT_DOUBLE_EQ(report.entries[0].latency_max, 4);
  EXPECT_DOUBLE_EQ(report.all.latency_mean, 14.0 / 3);
  EXPECT_DOUBLE_EQ(report.all.latency_p50, 4);
  EXPECT_DOUBLE_EQ(report.all.latency_p99, 8);
}

TEST_F(LoadReportTest, PreviewsAndRefusalsHaveTheirOwnTimes) {
  const LoadReport report = Report();
  EXPECT_DOUBLE_EQ(report.all.first_preview_p50, 0.5);
  EXPECT_DOUBLE_EQ(report.all.first_preview_p99, 2);  // Also of a request that was not ok.
  EXPECT_DOUBLE_EQ(report.all.refusal_p50, 0.25);
  EXPECT_DOUBLE_EQ(report.all.refusal_max, 0.25);
  EXPECT_TRUE(std::isnan(report.entries[1].refusal_p50));
  EXPECT_TRUE(std::isnan(report.entries[1].first_preview_p50));
}

TEST_F(LoadReportTest, RatesSayWhatCameWhenAndWhatWasOfUse) {
  const LoadReport report = Report();
  EXPECT_DOUBLE_EQ(report.busy, 16 - 0.001);
  EXPECT_DOUBLE_EQ(report.all.throughput, 8 / report.busy);
  EXPECT_DOUBLE_EQ(report.all.window_throughput, 0.4);
  EXPECT_DOUBLE_EQ(report.all.goodput, 3 / report.busy);
  EXPECT_DOUBLE_EQ(report.entries[1].throughput, 4 / report.busy);
  EXPECT_DOUBLE_EQ(report.entries[1].window_throughput, 0);
  EXPECT_DOUBLE_EQ(report.entries[1].goodput, 0);
}

TEST_F(LoadReportTest, ARunThatSentNothingHasNoNumbers) {
  result_.records.clear();
  result_.window = absl::ZeroDuration();
  const LoadReport report = Report();
  EXPECT_EQ(report.busy, 0);
  EXPECT_TRUE(std::isnan(report.all.throughput));
  EXPECT_TRUE(std::isnan(report.all.window_throughput));
  EXPECT_TRUE(std::isnan(report.all.goodput));
  EXPECT_TRUE(std::isnan(report.all.latency_mean));
  EXPECT_TRUE(std::isnan(report.lateness_p99));
  EXPECT_THAT(report.warnings, IsEmpty());
}

TEST_F(LoadReportTest, RequestsThatWereNotSentAreWarnedOf) {
  EXPECT_THAT(Report().warnings, ElementsAre(HasSubstr("1 requests were not sent")));
}

TEST_F(LoadReportTest, AStopIsToldOf) {
  result_.records.pop_back();
  result_.stopped = true;
  result_.records.back().outcome = LoadOutcome::kStopped;
  EXPECT_THAT(Report().warnings,
              ElementsAre(HasSubstr("stopped before its end: 1 requests were not")));
}

// Ten requests of `latency` seconds, one of them sent `late` seconds behind its time.
std::vector<std::string> WarningsOf(double latency, double late) {
  LoadPlan plan{.mix = ParseLoadMix("a").value()};
  LoadResult result;
  for (int i = 0; i < 10; ++i) {
    LoadRecord record;
    record.intended = i;
    record.sent = i == 5 ? i + late : i;
    record.finished = i + latency;
    record.outcome = LoadOutcome::kOk;
    result.records.push_back(record);
  }
  return MakeLoadReport(plan, result).warnings;
}

TEST(LoadLatenessTest, IsWarnedOfAboveFiveMillisecondsAndOneHundredthOfTheMedian) {
  EXPECT_THAT(WarningsOf(0.01, 0.0049), IsEmpty());
  EXPECT_THAT(WarningsOf(0.01, 0.0051), ElementsAre(HasSubstr("5.1 ms")));
  EXPECT_THAT(WarningsOf(2, 0.019), IsEmpty());
  EXPECT_THAT(WarningsOf(2, 0.021), ElementsAre(HasSubstr("21.0 ms")));
}

}  // namespace
}  // namespace diffusiond
