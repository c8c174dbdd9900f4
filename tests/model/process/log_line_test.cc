#include "model/process/log_line.h"

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(LogLineTest, HasTimeAndLevelAndIsOneLine) {
  const absl::Time time = absl::FromUnixMillis(1700000000125);
  EXPECT_EQ(FormatLogLine(time, LogLevel::kInfo, "loaded model=a"),
            "2023-11-14T22:13:20.125Z INFO loaded model=a");
  EXPECT_EQ(FormatLogLine(time, LogLevel::kWarning, "a\nb"),
            "2023-11-14T22:13:20.125Z WARNING a\\nb");
  EXPECT_EQ(FormatLogLine(time, LogLevel::kError, ""), "2023-11-14T22:13:20.125Z ERROR ");
}

}  // namespace
}  // namespace diffusiond
