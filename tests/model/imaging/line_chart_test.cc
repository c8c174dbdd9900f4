#include "model/imaging/line_chart.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/xml_fault.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LineChart Chart(std::vector<LinePoint> points) {
  return {.x_title = "t", .y_title = "bits", .series = {{.name = "a", .points = points}}};
}

TEST(LineChartTest, IsWellFormedWithEveryPanelAndItsLegend) {
  const std::vector<LineChart> charts = {Chart({{0, 1}, {10, 2}}), Chart({{0, 3}})};
  const std::string svg = DrawLineCharts(charts, "R&D <one>");
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_THAT(svg, HasSubstr("R&amp;D &lt;one&gt;"));
  EXPECT_THAT(svg, HasSubstr("width=\"1160\""));
  EXPECT_THAT(svg, HasSubstr(">bits</text>"));
  EXPECT_EQ(svg, DrawLineCharts(charts, "R&D <one>"));
}

TEST(LineChartTest, PutsPointsWhereTheirValuesAre) {
  // 10 is 480 pixels to the right of 70; 2.1, the most and 5 %, is 320 pixels over 380.
  EXPECT_THAT(DrawLineCharts({{Chart({{0, 0}, {10, 2}, {5, -1}})}}, ""),
              HasSubstr("M70.0 380.0L550.0 75.2L310.0 380.0"));
}

TEST(LineChartTest, ALogarithmicAxisHasWholeDecadesAndLeavesOutWhatHasNoLogarithm) {
  LineChart chart = Chart({{0, 0.02}, {5, 0}, {10, 10}});
  chart.log_y = true;
  const std::string svg = DrawLineCharts({{chart}}, "");
  EXPECT_THAT(svg, HasSubstr("M70.0 347.9L550.0 60.0\""));
  EXPECT_THAT(svg, HasSubstr(">0.01</text>"));
  EXPECT_THAT(svg, HasSubstr(">10</text>"));
}

TEST(LineChartTest, NothingToDrawIsAPictureToo) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool log_y : {false, true}) {
    LineChart chart = Chart({{1, nan}, {2, std::numeric_limits<double>::infinity()}});
    chart.log_y = log_y;
    const std::string svg = DrawLineCharts({{chart}}, "");
    EXPECT_EQ(XmlFault(svg), "");
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
  }
}

}  // namespace
}  // namespace diffusiond
