#include "model/training/progress/progress_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace diffusiond {
namespace {

class ProgressLogTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove(path_); }
  void TearDown() override { std::filesystem::remove(path_); }

  void Log(int64_t step, double loss) {
    auto log = ProgressLog::Open(path_);
    ASSERT_TRUE(log.ok()) << log.status();
    ProgressPoint point;
    point.step = step;
    point.loss = loss;
    point.loss_by_level[2] = 7;
    point.held_out_loss = 0.125;
    point.time = absl::FromUnixSeconds(1600000000);
    (*log)->OnPoint(point);
  }

  const std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / "progress_log_test.jsonl";
};

TEST_F(ProgressLogTest, WhatIsWrittenIsRead) {
  Log(5, 0.5);
  const auto points = ReadProgressLog(path_);
  ASSERT_TRUE(points.ok()) << points.status();
  ASSERT_EQ(points->size(), 1u);
  EXPECT_EQ((*points)[0].step, 5);
  EXPECT_EQ((*points)[0].loss, 0.5);
  EXPECT_EQ((*points)[0].held_out_loss, 0.125);
  EXPECT_EQ((*points)[0].loss_by_level[2], 7);
  EXPECT_FALSE((*points)[0].loss_by_level[3].has_value());
  EXPECT_EQ((*points)[0].time, absl::FromUnixSeconds(1600000000));
}

TEST_F(ProgressLogTest, ALineThatIsNotForATerminalBeginsAsTheServersDo) {
  testing::internal::CaptureStdout();
  Log(5, 0.5);
  const std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_EQ(printed.find("2020-09-13T12:26:40.000Z INFO step 5/0  images 0  loss 0.50000"), 0u)
      << printed;
}

TEST_F(ProgressLogTest, LaterLinesOfAStepCountAndBrokenOnesDoNot) {
  Log(5, 0.5);
  Log(10, 0.25);
  std::ofstream(path_, std::ios::app) << "{\"step\": 11, \"lo";  // Killed here.
  Log(10, 0.75);
  Log(15, 0.1);
  const auto points = ReadProgressLog(path_);
  ASSERT_TRUE(points.ok()) << points.status();
  ASSERT_EQ(points->size(), 3u);
  EXPECT_EQ((*points)[1].step, 10);
  EXPECT_EQ((*points)[1].loss, 0.75);
  EXPECT_EQ((*points)[2].step, 15);
}

TEST_F(ProgressLogTest, NoFileIsNotFound) {
  EXPECT_EQ(ReadProgressLog(path_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace diffusiond
