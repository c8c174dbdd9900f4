#include "server/logging/log_record.h"

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model/process/printable_text.h"
#include "nlohmann/json.hpp"

namespace diffusiond {
namespace {

std::string TextOf(const std::string& value) {
  // Single quotes, which errors are full of, end nothing.
  const std::string escaped = absl::StrReplaceAll(absl::Utf8SafeCHexEscape(value), {{"\\'", "'"}});
  const bool bare = !value.empty() && value.find_first_of(" =\"\\\n\r\t") == std::string::npos;
  return bare ? escaped : absl::StrCat("\"", escaped, "\"");
}

std::string TextOf(int64_t value) { return absl::StrCat(value); }
std::string TextOf(double value) { return absl::StrCat(value); }

std::string TimeOf(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string JsonOf(absl::Time time, const LogRecord& record) {
  nlohmann::ordered_json line = {
      {"time", TimeOf(time)}, {"level", LogLevelName(record.level())}, {"event", record.event()}};
  for (const LogRecord::Field& field : record.fields()) {
    std::visit([&](const auto& value) { line[field.key] = value; }, field.value);
  }
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

const char* LogLevelName(LogLevel level) {
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

LogRecord& LogRecord::Add(absl::string_view key, absl::Duration value) {
  return Add(key, std::round(absl::ToDoubleSeconds(value) * 1e6) / 1e6);
}

std::string LogRecord::Text() const {
  std::string text = event_;
  for (const Field& field : fields_) {
    absl::StrAppend(&text, " ", field.key, "=",
                    std::visit([](const auto& value) { return TextOf(value); }, field.value));
  }
  return Printable(text);
}

std::string FormatLogRecord(LogFormat format, absl::Time time, const LogRecord& record) {
  if (format == LogFormat::kJson) return JsonOf(time, record);
  return absl::StrCat(TimeOf(time), " ", LogLevelName(record.level()), " ", record.Text());
}

}  // namespace diffusiond
