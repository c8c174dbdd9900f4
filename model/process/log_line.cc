#include "model/process/log_line.h"

#include "absl/strings/str_cat.h"
#include "model/process/printable_text.h"

namespace diffusiond {
namespace {

const char* NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARNING";
    case LogLevel::kError:
      break;
  }
  return "ERROR";
}

}  // namespace

std::string FormatLogLine(absl::Time time, LogLevel level, absl::string_view line) {
  return absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()), " ",
                      NameOf(level), " ", Printable(line));
}

}  // namespace diffusiond
