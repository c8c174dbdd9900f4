#include "client/load/load_plan.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client/load/load_trace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

LoadMix TwoKinds() { return ParseLoadMix("short weight=3; long weight=1").value(); }

LoadPlan PlanOf(const LoadPlanOptions& options) {
  return MakeLoadPlan(TwoKinds(), options).value();
}

TEST(LoadPlanTest, SameSeedSamePlan) {
  const LoadPlanOptions options{.rate = 50, .duration = absl::Seconds(20), .seed = 7};
  EXPECT_EQ(PlanOf(options).requests, PlanOf(options).requests);
  LoadPlanOptions other = options;
  other.seed = 8;
  EXPECT_NE(PlanOf(other).requests, PlanOf(options).requests);
}

// What std::mt19937_64 draws is fixed by the standard, and the rest is ours: on any machine.
TEST(LoadPlanTest, TheDrawsAreTheSameEverywhere) {
  const LoadPlan plan = PlanOf({.rate = 1, .requests = 2, .seed = 5489});
  // The generator's documented first value for its default seed is 14514284786278117030.
  const double uniform = static_cast<double>(14514284786278117030u >> 11) * 0x1p-53;
  EXPECT_NEAR(absl::ToDoubleSeconds(plan.requests[0].at), -std::log1p(-uniform), 1e-9);
}

TEST(LoadPlanTest, TheTimesDoNotDependOnTheMix) {
  const LoadPlanOptions options{.rate = 50, .requests = 100, .seed = 7};
  const LoadPlan two = PlanOf(options);
  const LoadPlan one = MakeLoadPlan(ParseLoadMix("only").value(), options).value();
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(one.requests[i].at, two.requests[i].at);
}

TEST(LoadPlanTest, PoissonArrivalsHaveTheRateAndSpreadOfAPoissonProcess) {
  const LoadPlan plan = PlanOf({.rate = 100, .duration = absl::Seconds(100), .seed = 3});
  // 10,000 expected, standard deviation 100.
  EXPECT_NEAR(static_cast<double>(plan.requests.size()), 10'000, 300);
  EXPECT_EQ(plan.window, absl::Seconds(100));
  // Counts in windows of a second: variance equal to the mean, which a uniform process lacks.
  std::vector<double> counts(100);
  size_t brief = 0;
  for (size_t i = 0; i < plan.requests.size(); ++i) {
    const PlannedRequest& request = plan.requests[i];
    EXPECT_GE(request.at, plan.requests[i == 0 ? 0 : i - 1].at);
    EXPECT_LT(request.at, plan.window);
    counts.at(static_cast<size_t>(absl::ToInt64Seconds(request.at))) += 1;
    brief += request.entry == 0;
  }
  double variance = 0;
  for (const double count : counts) variance += (count - 100) * (count - 100) / 100;
  EXPECT_NEAR(variance, 100, 45);  // Its standard deviation is 100 * sqrt(2 / 100).
  EXPECT_NEAR(static_cast<double>(brief) / static_cast<double>(plan.requests.size()), 0.75, 0.015);
}

TEST(LoadPlanTest, SeedsAreDifferent) {
  std::map<uint64_t, int> seen;
  for (const PlannedRequest& request : PlanOf({.rate = 1, .requests = 1000}).requests) {
    EXPECT_EQ(++seen[request.seed], 1);
  }
}

TEST(LoadPlanTest, UniformArrivalsAreEvenlySpaced) {
  const LoadPlan plan = PlanOf(
      {.arrivals = ParseArrivals("uniform").value(), .rate = 4, .duration = absl::Seconds(2)});
  ASSERT_EQ(plan.requests.size(), 8u);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(plan.requests[i].at, absl::Milliseconds(250) * i);
}

TEST(LoadPlanTest, BurstsComeAtOnceAndKeepTheRate) {
  const LoadPlan plan = PlanOf({.arrivals = ParseArrivals("burst:10").value(),
                                .rate = 100,
                                .duration = absl::Seconds(100),
                                .seed = 5});
  std::map<absl::Duration, int> bursts;
  for (const PlannedRequest& request : plan.requests) ++bursts[request.at];
  for (const auto& [at, count] : bursts) EXPECT_EQ(count, 10) << at;
  // 1,000 bursts expected, standard deviation 32.
  EXPECT_NEAR(static_cast<double>(bursts.size()), 1000, 96);
}

TEST(LoadPlanTest, ANumberOfRequestsIsKeptExactly) {
  const LoadPlan plan = PlanOf(
      {.arrivals = ParseArrivals("burst:10").value(), .rate = 100, .requests = 25, .seed = 5});
  EXPECT_EQ(plan.requests.size(), 25u);
  EXPECT_EQ(plan.window, plan.requests.back().at);
}

class TraceTest : public testing::Test {
 protected:
  TraceTest() : path_(std::filesystem::path(testing::TempDir()) / "load_trace_test.csv") {}
  ~TraceTest() override { std::filesystem::remove(path_); }

  absl::StatusOr<LoadPlan> PlanOfTrace(const std::string& text, LoadPlanOptions options = {}) {
    std::ofstream(path_, std::ios::binary) << text;
    options.arrivals = ParseArrivals("trace:" + path_.string()).value();
    return MakeLoadPlan(TwoKinds(), options);
  }

  const std::filesystem::path path_;
};

TEST_F(TraceTest, APlanWrittenAsATraceIsTheSamePlan) {
  LoadPlan plan = PlanOf({.rate = 1000, .requests = 500, .seed = 9});
  plan.requests.back().at += absl::Hours(20);  // Nanoseconds survive large times too.
  const auto again = PlanOfTrace(LoadTraceOf(plan));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->requests, plan.requests);
  EXPECT_EQ(again->window, plan.requests.back().at);
}

TEST_F(TraceTest, LinesAreSortedAndMissingSeedsDrawn) {
  const auto plan = PlanOfTrace("at_seconds,entry\r\n2.5,long\r\n0.5,short\r\n\r\n2.5,short\n");
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->requests.size(), 3u);
  EXPECT_EQ(plan->requests[0].at, absl::Milliseconds(500));
  EXPECT_EQ(plan->requests[1].entry, 1u);  // Lines of one time keep their order.
  EXPECT_EQ(plan->requests[2].entry, 0u);
  EXPECT_NE(plan->requests[1].seed, plan->requests[2].seed);
}

TEST_F(TraceTest, IsCutByDurationOrNumber) {
  const std::string trace = "at_seconds,entry,seed\n0,short,1\n1,short,\n2,long,3\n";
  EXPECT_EQ(PlanOfTrace(trace, {.duration = absl::Seconds(2)})->requests.size(), 2u);
  EXPECT_EQ(PlanOfTrace(trace, {.duration = absl::Seconds(2)})->window, absl::Seconds(2));
  EXPECT_EQ(PlanOfTrace(trace, {.requests = 1})->requests.size(), 1u);
}

TEST_F(TraceTest, FaultsNameLineValueAndWhatIsAllowed) {
  const std::pair<const char*, std::vector<const char*>> faults[] = {
      {"time,entry\n", {":1:", "'time,entry'", "at_seconds,entry,seed"}},
      {"", {":1:", "the header"}},
      {"at_seconds,entry\n0,short\n0,brief\n", {":3:", "entry='brief'", "short, long"}},
      {"at_seconds,entry\n-1,short\n", {":2:", "at_seconds='-1'", "0 .. 86400"}},
      {"at_seconds,entry\nnan,short\n", {":2:", "at_seconds='nan'", "0 .. 86400"}},
      {"at_seconds,entry\n86401,short\n", {":2:", "'86401'", "0 .. 86400"}},
      {"at_seconds,entry\n1,short,7\n", {":2:", "3 columns, expected 2"}},
      {"at_seconds,entry,seed\n1,short,-7\n", {":2:", "seed='-7'", "64 bits"}},
  };
  for (const auto& [text, says] : faults) {
    const absl::Status status = PlanOfTrace(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    for (const char* part : says) EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

TEST_F(TraceTest, AMissingFileIsNotFound) {
  const Arrivals arrivals = ParseArrivals("trace:/nowhere/at/all.csv").value();
  const absl::Status status = MakeLoadPlan(TwoKinds(), {.arrivals = arrivals}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/at/all.csv: No such file"));
}

TEST(LoadPlanTest, OptionsOutOfRangeAreToldOf) {
  const Arrivals trace{.kind = Arrivals::Kind::kTrace, .trace_file = "x"};
  const absl::Duration second = absl::Seconds(1);
  const std::pair<LoadPlanOptions, const char*> faults[] = {
      {{.rate = 0, .duration = second}, "--rate=0, expected"},
      {{.rate = -1, .duration = second}, "--rate=-1, expected"},
      {{.rate = std::numeric_limits<double>::quiet_NaN(), .duration = second}, "--rate=nan"},
      {{.rate = 2 * kMaxRate, .duration = second}, "at most 100000"},
      {{.rate = 1, .duration = absl::ZeroDuration()}, "--duration=0, expected"},
      {{.rate = 1, .duration = 2 * kMaxPlanTime}, "at most 24h"},
      {{.rate = 1, .requests = 0}, "--requests=0, expected 1 .. 1000000"},
      {{.rate = 1, .requests = kMaxPlannedRequests + 1}, "expected 1 .. 1000000"},
      {{.rate = 1, .duration = second, .requests = 1}, "--duration and --requests are both given"},
      {{.rate = 1}, "neither --duration nor"},
      {{.rate = kMaxRate, .duration = absl::Minutes(1)}, "more than 1000000 requests"},
      {{.arrivals = trace, .rate = 1}, "--rate is given, but the times"},
  };
  for (const auto& [options, says] : faults) {
    const absl::Status status = MakeLoadPlan(TwoKinds(), options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << says;
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
  }
  EXPECT_FALSE(MakeLoadPlan({}, {.rate = 1, .requests = 1}).ok());
}

TEST(LoadPlanTest, UnknownArrivalsAreToldOf) {
  for (const char* text : {"", "posson", "burst", "burst:", "burst:0", "burst:10001", "burst:x",
                           "trace:", "uniform:3"}) {
    const absl::Status status = ParseArrivals(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("burst:N with N of 1 .. 10000"));
  }
}

}  // namespace
}  // namespace diffusiond
