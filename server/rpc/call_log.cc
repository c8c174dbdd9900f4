#include "server/rpc/call_log.h"

#include "absl/strings/str_cat.h"

namespace diffusiond {

CallLog::~CallLog() {
  absl::MutexLock lock(&mu_);
  if (!left_out_.empty()) options_.log_line(LogLevel::kWarning, Counts());
}

void CallLog::Write(LogLevel level, const std::string& line) {
  if (!options_.log_line) return;
  std::optional<std::string> counts;
  {
    absl::MutexLock lock(&mu_);
    counts = NextSecond(options_.now());
  }
  if (counts.has_value()) options_.log_line(LogLevel::kWarning, *counts);
  options_.log_line(level, line);
}

void CallLog::WriteRefusal(const std::string& code, const std::string& line) {
  if (!options_.log_line) return;
  std::optional<std::string> counts;
  bool write = false;
  {
    absl::MutexLock lock(&mu_);
    counts = NextSecond(options_.now());
    write = written_ < options_.refusals_per_second;
    if (write) ++written_;
    if (!write) ++left_out_[code];
  }
  if (counts.has_value()) options_.log_line(LogLevel::kWarning, *counts);
  if (write) options_.log_line(LogLevel::kWarning, line);
  if (!write && options_.on_left_out) options_.on_left_out(code);
}

std::optional<std::string> CallLog::NextSecond(absl::Time now) {
  // A clock that was put back begins a new one, too.
  if (now >= second_ && now - second_ < absl::Seconds(1)) return std::nullopt;
  std::optional<std::string> counts;
  if (!left_out_.empty()) counts = Counts();
  left_out_.clear();
  written_ = 0;
  second_ = now;
  return counts;
}

std::string CallLog::Counts() const {
  int64_t sum = 0;
  std::string codes;
  for (const auto& [code, count] : left_out_) {
    sum += count;
    absl::StrAppend(&codes, " ", code, "=", count);
  }
  return absl::StrCat(
      "left_out=", sum,
      " since=", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", second_, absl::UTCTimeZone()), codes);
}

}  // namespace diffusiond
