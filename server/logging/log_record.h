// What a server tells its operator: an event, with named values, in a form for people or for
// machines.
#ifndef DIFFUSIOND_SERVER_LOGGING_LOG_RECORD_H_
#define DIFFUSIOND_SERVER_LOGGING_LOG_RECORD_H_

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace diffusiond {

enum class LogLevel {
  kInfo,     // As it should be.
  kWarning,  // Somebody may want to know: what was refused, what does not act.
  kError     // Somebody should look: what is broken here.
};

const char* LogLevelName(LogLevel level);  // "INFO"

// Thread-compatible.
class LogRecord {
 public:
  using Value = std::variant<std::string, int64_t, double>;
  struct Field {
    std::string key;
    Value value;
  };

  // `event` says in a word or some what happened: "loaded", "call".
  LogRecord(LogLevel level, std::string event) : level_(level), event_(std::move(event)) {}

  // Each gives back the record. A key comes once.
  LogRecord& Add(absl::string_view key, absl::string_view value) {
    fields_.push_back({std::string(key), std::string(value)});
    return *this;
  }
  LogRecord& Add(absl::string_view key, std::integral auto value) {
    fields_.push_back({std::string(key), static_cast<int64_t>(value)});
    return *this;
  }
  LogRecord& Add(absl::string_view key, double value) {
    fields_.push_back({std::string(key), value});
    return *this;
  }
  LogRecord& Add(Field field) {
    fields_.push_back(std::move(field));
    return *this;
  }
  // In seconds, to a microsecond.
  LogRecord& Add(absl::string_view key, absl::Duration value);

  void set_level(LogLevel level) { level_ = level; }
  LogLevel level() const { return level_; }
  const std::string& event() const { return event_; }
  const std::vector<Field>& fields() const { return fields_; }

  // EVENT key=value key="value with spaces": one line, whatever stands in it.
  std::string Text() const;

 private:
  LogLevel level_;
  std::string event_;
  std::vector<Field> fields_;
};

// Takes a record; thread-safe where it is handed on.
using LogSink = std::function<void(const LogRecord& record)>;

enum class LogFormat { kText, kJson };

// One line without its end. Text: "2026-01-31T12:00:00.000Z INFO " and the record's. JSON: an
// object of time, level, event and the fields; what is not UTF-8 in them is replaced.
std::string FormatLogRecord(LogFormat format, absl::Time time, const LogRecord& record);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_LOGGING_LOG_RECORD_H_
