#include "client/load/load_plot.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/xml_fault.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct RunDone {
  LoadPlan plan = {};
  LoadResult result = {};
};

RunDone RunOf(const std::string& mix, size_t requests) {
  RunDone run;
  run.plan.mix = ParseLoadMix(mix).value();
  run.result.window = absl::Seconds(10);
  for (size_t i = 0; i < requests; ++i) {
    LoadRecord record;
    record.entry = i % run.plan.mix.entries.size();
    record.intended = 10.0 * static_cast<double>(i) / static_cast<double>(requests);
    record.sent = record.intended;
    record.finished = record.intended + 0.5 + 0.1 * static_cast<double>(i % 7);
    record.outcome = LoadOutcome::kOk;
    run.plan.requests.push_back({absl::Seconds(record.intended), record.entry, i});
    run.result.records.push_back(record);
  }
  return run;
}

size_t CountOf(absl::string_view what, const std::string& text) {
  return std::vector<absl::string_view>(absl::StrSplit(text, what)).size() - 1;
}

// From the element with this id to the next one.
std::string ElementOf(const std::string& id, const std::string& svg) {
  const size_t at = svg.find(absl::StrCat("id=\"", id, "\""));
  if (at == svg.npos) return "";
  return svg.substr(at, svg.find(" id=\"", at + 1) - at);
}

TEST(LoadPlotTest, IsWellFormedAndHasEverySeries) {
  RunDone run = RunOf("short; long", 20);
  run.result.records[1].outcome = LoadOutcome::kFailed;
  const std::string svg = LoadPlot(run.plan, run.result, "R&D <one>");
  EXPECT_EQ(XmlFault(svg), "") << svg;
  EXPECT_EQ(CountOf("h0", ElementOf("points-short", svg)), 10u);
  EXPECT_EQ(CountOf("h0", ElementOf("points-long", svg)), 9u);
  EXPECT_EQ(CountOf("l6 6", ElementOf("points-long", svg)), 1u);
  EXPECT_EQ(
      CountOf("V", ElementOf("cdf-short", svg).substr(0, ElementOf("cdf-short", svg).find('>'))),
      10u);
  EXPECT_THAT(svg, HasSubstr(">short: 10 ok</text>"));
  EXPECT_THAT(svg, HasSubstr(">long: 9 ok, 1 not (crosses)</text>"));
  EXPECT_THAT(svg, HasSubstr("R&amp;D &lt;one&gt;"));
  EXPECT_THAT(svg, HasSubstr("intended time of sending (s)"));
  EXPECT_THAT(svg, HasSubstr("fill=\"#ffffff\""));
  EXPECT_THAT(svg, Not(HasSubstr("one of")));
}

TEST(LoadPlotTest, PutsPointsWhereTheirValuesAre) {
  RunDone run = RunOf("only", 2);  // At 0 and 5 s, of 500 and 600 ms.
  const std::string points = ElementOf("points-only", LoadPlot(run.plan, run.result, ""));
  // 10 s are 600 pixels from 60 on; 630 ms, the longest and 5 %, are 340 pixels down to 390.
  EXPECT_THAT(points, HasSubstr("M60.0 120.2h0"));
  EXPECT_THAT(points, HasSubstr("M360.0 66.2h0"));
}

TEST(LoadPlotTest, TheSameRecordsDrawTheSameBytes) {
  const RunDone run = RunOf("a; b; c", 100);
  EXPECT_EQ(LoadPlot(run.plan, run.result, "x"), LoadPlot(run.plan, run.result, "x"));
}

TEST(LoadPlotTest, ARunWithNothingInItIsAPictureToo) {
  RunDone run = RunOf("a", 3);
  for (LoadRecord& record : run.result.records) {
    record.sent = record.finished = LoadRecord::kNever;
    record.outcome = LoadOutcome::kNotSent;
  }
  const std::string svg = LoadPlot(run.plan, run.result, "");
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_THAT(svg, HasSubstr("a: 0 ok, 3 not sent"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  run.result = {};
  run.plan.requests.clear();
  EXPECT_EQ(XmlFault(LoadPlot(run.plan, run.result, "")), "");
}

TEST(LoadPlotTest, ManyPointsAreThinnedAndItSaysSo) {
  const RunDone run = RunOf("a", 2 * kMaxPlotPoints);
  const std::string svg = LoadPlot(run.plan, run.result, "");
  EXPECT_EQ(CountOf("h0", svg), kMaxPlotPoints);
  EXPECT_THAT(svg, HasSubstr("one of 2 points drawn"));
  const std::string cdf = ElementOf("cdf-a", svg);
  EXPECT_LE(CountOf("V", cdf), kMaxPlotCdfPoints + 10);
  EXPECT_THAT(cdf, HasSubstr("V50.0\"/>"));  // It ends at 1.
}

}  // namespace
}  // namespace diffusiond
