// The log lines of calls, of which a flood of refused ones writes only some.
#ifndef DIFFUSIOND_SERVER_RPC_CALL_LOG_H_
#define DIFFUSIOND_SERVER_RPC_CALL_LOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/logging/log_record.h"

namespace diffusiond {

// Lines that a stranger can cause at no cost to himself must not fill the disk: of those that
// refuse, so many a second are written and the rest counted. One line tells the counts, as soon as
// that second is over and something else is to be written, at the latest at the end. Thread-safe.
class CallLog {
 public:
  struct Options {
    int refusals_per_second = 10;  // 0: none, only the counts.
    std::function<absl::Time()> now = absl::Now;
    LogSink log = nullptr;  // Unset: nothing is written or counted.
    // For each line that is left out; must not block. May be unset.
    std::function<void(const std::string& code)> on_left_out = nullptr;
  };

  explicit CallLog(Options options) : options_(std::move(options)) {}
  CallLog(const CallLog&) = delete;
  CallLog& operator=(const CallLog&) = delete;
  ~CallLog();

  // A line that is always written.
  void Write(const LogRecord& record);

  // A line of something refused, "INVALID_ARGUMENT".
  void WriteRefusal(const std::string& code, const LogRecord& record);

 private:
  // Begins a new second if the last is over; gives the line that tells what that one left out.
  std::optional<LogRecord> NextSecond(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  LogRecord Counts() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  absl::Mutex mu_;
  absl::Time second_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();  // When it began.
  int written_ ABSL_GUARDED_BY(mu_) = 0;                           // Refusals, in it.
  std::map<std::string, int64_t> left_out_ ABSL_GUARDED_BY(mu_);   // By code.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_CALL_LOG_H_
