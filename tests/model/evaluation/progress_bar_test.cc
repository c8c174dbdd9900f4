#include "model/evaluation/progress_bar.h"

#include <gtest/gtest.h>

#include <sstream>

#include "tests/testing/fake_clock.h"

namespace diffusiond {
namespace {

TEST(ProgressBarTest, WithoutATerminalALineComesATenthOfTheWay) {
  FakeClock clock;
  std::ostringstream out;
  ProgressBar bar(&out, 40, {.unit = "images", .terminal = false, .now = clock.AsFunction()});
  bar.Update(0);
  for (const int64_t done : {3, 4, 5, 30, 40}) {
    clock.Advance(absl::Seconds(2));
    bar.Update(done);
  }
  EXPECT_EQ(out.str(),
            "[###---------------------------]  4/40 images  1 images/s  left 36s\n"
            "[######################--------]  30/40 images  3.75 images/s  left 3s\n"
            "[##############################]  40/40 images  4 images/s\n");
}

TEST(ProgressBarTest, OnATerminalOneLineIsDrawnOver) {
  FakeClock clock;
  std::ostringstream out;
  ProgressBar bar(&out, 2, {.unit = "images", .terminal = true, .now = clock.AsFunction()});
  bar.Update(0);
  bar.Update(1);  // Too soon to be drawn.
  clock.Advance(absl::Seconds(1));
  bar.Update(2);
  EXPECT_EQ(out.str(),
            "\r[------------------------------]  0/2 images\x1b[K"
            "\r[##############################]  2/2 images  2 images/s\x1b[K\n");
}

TEST(ProgressBarTest, WhatAnInterruptedRunHadDoneDoesNotCountAsSpeed) {
  FakeClock clock;
  std::ostringstream out;
  ProgressBar bar(&out, 100, {.unit = "images", .terminal = false, .now = clock.AsFunction()});
  bar.Update(80);
  clock.Advance(absl::Seconds(10));
  bar.Update(90);
  EXPECT_NE(out.str().find("90/100 images  1 images/s  left 10s"), std::string::npos) << out.str();
}

TEST(ProgressBarTest, WhatIsDoneAlreadyIsSaid) {
  std::ostringstream out;
  ProgressBar bar(&out, 7, {});
  bar.Update(7);
  EXPECT_NE(out.str().find("7/7 images\n"), std::string::npos) << out.str();
}

}  // namespace
}  // namespace diffusiond
