#include "server/logging/log_record.h"

#include <cmath>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace diffusiond {
namespace {

constexpr absl::Time kTime = absl::FromUnixMillis(1700000000125);

TEST(LogRecordTest, TextHasTimeLevelEventAndFieldsInTheirOrder) {
  EXPECT_EQ(FormatLogRecord(LogFormat::kText, kTime,
                            LogRecord(LogLevel::kInfo, "loaded")
                                .Add("model", "a")
                                .Add("version", 3)
                                .Add("share", 0.25)
                                .Add("seconds", absl::Microseconds(1234567))),
            "2023-11-14T22:13:20.125Z INFO loaded model=a version=3 share=0.25 seconds=1.23457");
  EXPECT_EQ(FormatLogRecord(LogFormat::kText, kTime, LogRecord(LogLevel::kError, "drained")),
            "2023-11-14T22:13:20.125Z ERROR drained");
}

TEST(LogRecordTest, TextIsOneLineAndItsValuesCannotBeMistakenForFields) {
  const LogRecord record = LogRecord(LogLevel::kWarning, "a\nb")
                               .Add("empty", "")
                               .Add("spaces", "x y=z")
                               .Add("quoted", "say \"no\"\nINFO forged");
  EXPECT_EQ(record.Text(), R"(a\nb empty="" spaces="x y=z" quoted="say \"no\"\nINFO forged")");
}

TEST(LogRecordTest, JsonIsAnObjectWithNumbersAsNumbers) {
  const std::string line = FormatLogRecord(LogFormat::kJson, kTime,
                                           LogRecord(LogLevel::kWarning, "call")
                                               .Add("count", size_t{2})
                                               .Add("seed", "18446744073709551615")
                                               .Add("seconds", absl::Microseconds(1234567))
                                               .Add("error", "a \"b\"\n"));
  EXPECT_EQ(line,
            R"({"time":"2023-11-14T22:13:20.125Z","level":"WARNING","event":"call","count":2,)"
            R"("seed":"18446744073709551615","seconds":1.234567,"error":"a \"b\"\n"})");
}

TEST(LogRecordTest, JsonTakesAnyBytesAndAnyNumber) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  const std::string line =
      FormatLogRecord(LogFormat::kJson, kTime,
                      LogRecord(LogLevel::kInfo, bytes)
                          .Add(bytes, bytes)
                          .Add("nan", std::numeric_limits<double>::quiet_NaN())
                          .Add("inf", std::numeric_limits<double>::infinity()));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const nlohmann::json read = nlohmann::json::parse(line);
  EXPECT_EQ(read["event"].get<std::string>().substr(0, 128), bytes.substr(0, 128));
  EXPECT_TRUE(read["nan"].is_null());
}

}  // namespace
}  // namespace diffusiond
