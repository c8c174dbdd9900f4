#include "server/rpc/call_log.h"

namespace diffusiond {

CallLog::~CallLog() {
  absl::MutexLock lock(&mu_);
  if (!left_out_.empty()) options_.log(Counts());
}

void CallLog::Write(const LogRecord& record) {
  if (!options_.log) return;
  std::optional<LogRecord> counts;
  {
    absl::MutexLock lock(&mu_);
    counts = NextSecond(options_.now());
  }
  if (counts.has_value()) options_.log(*counts);
  options_.log(record);
}

void CallLog::WriteRefusal(const std::string& code, const LogRecord& record) {
  if (!options_.log) return;
  std::optional<LogRecord> counts;
  bool write = false;
  {
    absl::MutexLock lock(&mu_);
    counts = NextSecond(options_.now());
    write = written_ < options_.refusals_per_second;
    if (write) ++written_;
    if (!write) ++left_out_[code];
  }
  if (counts.has_value()) options_.log(*counts);
  if (write) options_.log(record);
  if (!write && options_.on_left_out) options_.on_left_out(code);
}

std::optional<LogRecord> CallLog::NextSecond(absl::Time now) {
  // A clock that was put back begins a new one, too.
  if (now >= second_ && now - second_ < absl::Seconds(1)) return std::nullopt;
  std::optional<LogRecord> counts;
  if (!left_out_.empty()) counts = Counts();
  left_out_.clear();
  written_ = 0;
  second_ = now;
  return counts;
}

LogRecord CallLog::Counts() const {
  int64_t sum = 0;
  for (const auto& [code, count] : left_out_) sum += count;
  LogRecord record(LogLevel::kWarning, "refused");
  record.Add("left_out", sum)
      .Add("since", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", second_, absl::UTCTimeZone()));
  for (const auto& [code, count] : left_out_) record.Add(code, count);
  return record;
}

}  // namespace diffusiond
