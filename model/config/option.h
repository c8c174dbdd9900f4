// A row of a table of options: all that is known of one option, for those that read it from a
// request, a flag or a file, judge it, write it down, and explain it.
#ifndef DIFFUSIOND_MODEL_CONFIG_OPTION_H_
#define DIFFUSIOND_MODEL_CONFIG_OPTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <variant>

#include "absl/strings/string_view.h"
#include "model/config/choices.h"

namespace diffusiond {

enum class OptionKind { kSwitch, kInteger, kNumber, kWord };

// By OptionKind.
using OptionValue = std::variant<bool, int64_t, double, std::string>;

// Of an integer or a number.
struct OptionRange {
  double low = 0, high = 0;
  bool above_low = false;  // `low` itself is not allowed.
};

struct OptionSpec {
  absl::string_view name;
  OptionKind kind = OptionKind::kSwitch;
  OptionRange range = {};
  std::span<const absl::string_view> words = {};  // Empty: whoever reads the word judges it.
  absl::string_view help = {};                    // One line.
};

// The value that the text is, on a command line: "0.5", "true", "karras". Nothing, if it is none of
// the kind.
std::optional<OptionValue> FromText(const OptionSpec& spec, absl::string_view text);

// What of `value`, which has the spec's kind, is not allowed: "2 is not in 0 .. 1". Empty: nothing.
std::string FaultOf(const OptionSpec& spec, const OptionValue& value);

// "0.5", "true", "\"karras\"".
std::string ToText(const OptionValue& value);

template <typename Options>
struct Option : OptionSpec {
  OptionValue (*get)(const Options&);
  // `value` has no fault.
  void (*set)(const OptionValue& value, Options*);
  void (*copy)(const Options& from, Options* to);
};

namespace option_internal {

template <typename Member>
struct MemberOf;
template <typename O, typename V>
struct MemberOf<V O::*> {
  using Options = O;
  using Value = V;
};

}  // namespace option_internal

// The row of a member: &Options::eta. Its type says the kind; an enumeration of choices.h gives its
// words.
template <auto kMember>
constexpr auto MakeOption(absl::string_view name, OptionRange range, absl::string_view help) {
  using Options = typename option_internal::MemberOf<decltype(kMember)>::Options;
  using Value = typename option_internal::MemberOf<decltype(kMember)>::Value;
  Option<Options> option = {
      {.name = name, .range = range, .help = help}, nullptr, nullptr, nullptr};
  option.copy = [](const Options& from, Options* to) { to->*kMember = from.*kMember; };
  if constexpr (std::is_enum_v<Value>) {
    option.kind = OptionKind::kWord;
    option.words = Words<Value>::kAll;
    // What stands for "none of these" is not to be asked for.
    if (option.words.front().empty()) option.words = option.words.subspan(1);
    option.get = [](const Options& o) { return OptionValue(std::string(WordOf(o.*kMember))); };
    option.set = [](const OptionValue& value, Options* o) {
      o->*kMember = *FromWord<Value>(std::get<std::string>(value));
    };
  } else {
    option.kind = std::is_same_v<Value, bool>      ? OptionKind::kSwitch
                  : std::is_same_v<Value, int64_t> ? OptionKind::kInteger
                  : std::is_same_v<Value, double>  ? OptionKind::kNumber
                                                   : OptionKind::kWord;
    option.get = [](const Options& o) { return OptionValue(o.*kMember); };
    option.set = [](const OptionValue& value, Options* o) { o->*kMember = std::get<Value>(value); };
  }
  return option;
}

template <auto kMember>
constexpr auto MakeOption(absl::string_view name, absl::string_view help) {
  return MakeOption<kMember>(name, {}, help);
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CONFIG_OPTION_H_
