#include "model/imaging/svg_plot.h"

#include <gtest/gtest.h>

namespace diffusiond {
namespace {

TEST(TicksForTest, AreRoundAndEnough) {
  struct Case {
    double most, step;
    int count, decimals;
  };
  for (const Case& c : {Case{10, 2, 5, 0}, Case{1, 0.2, 5, 1}, Case{60, 10, 6, 0},
                        Case{0.63, 0.1, 6, 1}, Case{630, 100, 6, 0}, Case{8, 1, 8, 0},
                        Case{0.003, 0.0005, 6, 4}, Case{86400, 20000, 4, 0}}) {
    const AxisTicks ticks = TicksFor(c.most, 8);
    EXPECT_DOUBLE_EQ(ticks.step, c.step) << c.most;
    EXPECT_EQ(ticks.count, c.count) << c.most;
    EXPECT_EQ(ticks.decimals, c.decimals) << c.most;
  }
}

TEST(PlotPanelTest, PutsValuesOnALinearOrALogarithmicScale) {
  PlotPanel panel{.left = 10, .top = 20, .width = 100, .height = 200, .most_x = 5, .most_y = 4};
  EXPECT_DOUBLE_EQ(panel.X(0), 10);
  EXPECT_DOUBLE_EQ(panel.X(5), 110);
  EXPECT_DOUBLE_EQ(panel.Y(0), 220);
  EXPECT_DOUBLE_EQ(panel.Y(1), 170);
  panel.log_y = true;
  panel.least_y = 0.01;
  panel.most_y = 100;
  EXPECT_DOUBLE_EQ(panel.Y(0.01), 220);
  EXPECT_DOUBLE_EQ(panel.Y(1), 120);
  EXPECT_DOUBLE_EQ(panel.Y(100), 20);
}

}  // namespace
}  // namespace diffusiond
