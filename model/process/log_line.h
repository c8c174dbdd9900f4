// Lines of a log that people and simple tools read.
#ifndef DIFFUSIOND_MODEL_PROCESS_LOG_LINE_H_
#define DIFFUSIOND_MODEL_PROCESS_LOG_LINE_H_

#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace diffusiond {

enum class LogLevel {
  kInfo,     // As it should be.
  kWarning,  // Somebody may want to know: what was refused, what does not act.
  kError     // Somebody should look: what is broken here.
};

// Takes a line, without time, level and line end. Thread-safe where it is handed on.
using LogLine = std::function<void(LogLevel level, const std::string& line)>;

// "2026-01-31T12:00:00.000Z INFO LINE", in UTC, with what is not printable escaped.
std::string FormatLogLine(absl::Time time, LogLevel level, absl::string_view line);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_LOG_LINE_H_
