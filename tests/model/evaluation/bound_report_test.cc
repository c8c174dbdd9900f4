#include "model/evaluation/bound_report.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/xml_fault.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

BoundSums Sums() {
  BoundSums sums;
  sums.terms = {{.images = 2, .bits = 3, .squared_bits = 5, .x0_mse = 0.5},
                {.images = 1, .bits = 0.25, .squared_bits = 0.0625, .x0_mse = 0.125},
                {}};
  sums.images = {{.prior = 0.5, .middle = 1, .decoder = 2},
                 {.prior = 0.5, .middle = 2, .decoder = 1}};
  return sums;
}

TEST(BoundReportTest, MeansComeWithStandardErrorsOverImages) {
  const BoundSummary summary = SummariseBound(Sums());
  EXPECT_EQ(summary.images, 2);
  EXPECT_EQ(summary.prior.mean, 0.5);
  EXPECT_EQ(summary.prior.standard_error, 0);
  EXPECT_EQ(summary.middle.mean, 1.5);
  EXPECT_DOUBLE_EQ(summary.middle.standard_error, 0.5);
  // What one image has more of one term it has less of another.
  EXPECT_EQ(summary.total.mean, 3.5);
  EXPECT_EQ(summary.total.standard_error, 0);
}

TEST(BoundReportTest, TheTableHasALineForEveryTerm) {
  EXPECT_EQ(BoundCsv(Sums()),
            "term,timestep,images,bits_per_dim,standard_error,x0_mse\n"
            "L_0,0,2,1.5,0.5,0.25\n"
            "L_1,1,1,0.25,,0.125\n"
            "L_2,2,0,,,\n"
            "L_3,3,2,0.5,0,\n");
}

TEST(BoundReportTest, ThePlotIsWellFormedWhateverIsMissing) {
  const std::string svg = BoundPlot(Sums(), "a & b");
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_THAT(svg, HasSubstr("3.5000 bits/dim"));
  for (const BoundSums& sums : {BoundSums{}, BoundSums{.terms = {{}, {}}, .images = {}}}) {
    const std::string empty = BoundPlot(sums, "");
    EXPECT_EQ(XmlFault(empty), "");
    EXPECT_THAT(empty, Not(HasSubstr("Mnan")));
  }
}

TEST(BoundReportTest, ThePlotCountsTimestepsAlikeHoweverOftenEachWasDrawn) {
  BoundSums sums;
  sums.terms.resize(2001);
  for (size_t t = 1; t < sums.terms.size(); ++t) {
    const double images = t % 2 == 0 ? 1 : 9;  // Odd t have terms of 1/1000, even ones of 0.
    sums.terms[t] = {.images = images, .bits = t % 2 == 0 ? 0 : images / 1000};
  }
  sums.images = {{.prior = 0, .middle = 1, .decoder = 0}};
  const std::string svg = BoundPlot(sums, "");
  EXPECT_THAT(svg, HasSubstr(">1.0</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">1.2</text>")));
}

TEST(SummariseTest, OneValueHasNoStandardError) {
  EXPECT_EQ(Summarise(1, 3, 9).mean, 3);
  EXPECT_TRUE(std::isnan(Summarise(1, 3, 9).standard_error));
  EXPECT_TRUE(std::isnan(Summarise(0, 0, 0).mean));
}

TEST(SummariseTest, FarFromZeroTheSpreadIsStillExact) {
  const std::vector<double> values = {1e9 + 1, 1e9 + 2, 1e9 + 3};
  EXPECT_DOUBLE_EQ(Summarise(values).standard_error, std::sqrt(1.0 / 3));
}

}  // namespace
}  // namespace diffusiond
