#include "model/evaluation/lossy_code.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/xml_fault.h"

namespace diffusiond {
namespace {

BoundSums Sums() {
  BoundSums sums;
  sums.terms = {{.images = 2, .bits = 6, .squared_bits = 0, .x0_mse = 0.02},
                {.images = 2, .bits = 1, .squared_bits = 0, .x0_mse = 0.5},
                {.images = 2, .bits = 0.5, .squared_bits = 0, .x0_mse = 2}};
  sums.images = {{.prior = 0.125, .middle = 0, .decoder = 0},
                 {.prior = 0.375, .middle = 0, .decoder = 0}};
  return sums;
}

TEST(LossyCodeTest, RateIsWhatWasSentBeforeAndTheImageItselfComesLast) {
  EXPECT_EQ(RateDistortionCsv(RateDistortion(Sums())),
            "timestep,rate_bits_per_dim,distortion_rmse\n"
            "2,0.25,127.5\n"
            "1,0.5,63.75\n"
            "0,1,12.75\n"
            "-1,4,0\n");
}

TEST(LossyCodeTest, ThePlotHasThreePanels) {
  const std::string svg = RateDistortionPlot(RateDistortion(Sums()), "a & b");
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_THAT(svg, testing::HasSubstr("width=\"1740\""));
  EXPECT_THAT(svg, testing::HasSubstr("one point a timestep"));
}

}  // namespace
}  // namespace diffusiond
