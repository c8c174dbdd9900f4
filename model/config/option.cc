#include "model/config/option.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/process/quoted_value.h"

namespace diffusiond {

std::string ToText(const OptionValue& value) {
  if (const bool* on = std::get_if<bool>(&value)) return *on ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return absl::StrCat(*integer);
  if (const auto* number = std::get_if<double>(&value)) return absl::StrCat(*number);
  return QuoteValue(std::get<std::string>(value));
}

std::optional<OptionValue> FromText(const OptionSpec& spec, absl::string_view text) {
  bool on = false;
  int64_t integer = 0;
  double number = 0;
  switch (spec.kind) {
    case OptionKind::kSwitch:
      return absl::SimpleAtob(text, &on) ? std::optional<OptionValue>(on) : std::nullopt;
    case OptionKind::kInteger:
      return absl::SimpleAtoi(text, &integer) ? std::optional<OptionValue>(integer) : std::nullopt;
    case OptionKind::kNumber:
      return absl::SimpleAtod(text, &number) ? std::optional<OptionValue>(number) : std::nullopt;
    case OptionKind::kWord:
      break;
  }
  return std::string(text);
}

std::string FaultOf(const OptionSpec& spec, const OptionValue& value) {
  if (const auto* word = std::get_if<std::string>(&value)) {
    const bool known = std::find(spec.words.begin(), spec.words.end(), *word) != spec.words.end();
    if (known || spec.words.empty()) return "";
    return absl::StrCat(ToText(value), " is not one of ", absl::StrJoin(spec.words, ", "));
  }
  if (std::holds_alternative<bool>(value)) return "";
  const auto* integer = std::get_if<int64_t>(&value);
  const double number =
      integer != nullptr ? static_cast<double>(*integer) : std::get<double>(value);
  const OptionRange& range = spec.range;
  // Written so that NaN fails.
  const bool fits =
      number >= range.low && number <= range.high && !(range.above_low && number == range.low);
  if (fits) return "";
  return absl::StrCat(ToText(value), " is not in ", range.low, " .. ", range.high,
                      range.above_low ? ", the first excluded" : "");
}

}  // namespace diffusiond
