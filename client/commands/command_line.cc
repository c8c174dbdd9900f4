#include "client/commands/command_line.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "model/process/nearest_word.h"

namespace diffusiond {
namespace {

constexpr int kFlagColumns = 26;

// A flag of absl's or an option of a table.
struct Flag {
  bool is_switch = false;
  std::string help;
  // False: `value` is none that it takes.
  std::function<bool(const std::string& value)> set;
};

// Where the command line's flags are looked for.
struct FlagSource {
  std::span<const std::string> allowed;
  std::span<const OptionSpec> options;
  OptionValues* values;

  std::optional<Flag> Find(const std::string& name) const {
    for (const OptionSpec& option : options) {
      if (option.name != name) continue;
      return Flag{.is_switch = option.kind == OptionKind::kSwitch,
                  .help = absl::StrCat("=", ValuesOf(option), ": ", option.help),
                  .set = [this, &option](const std::string& text) {
                    const std::optional<OptionValue> value = FromText(option, text);
                    if (value.has_value()) (*values)[std::string(option.name)] = *value;
                    return value.has_value();
                  }};
    }
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) return std::nullopt;
    absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) return std::nullopt;
    return Flag{.is_switch = flag->IsOfType<bool>() || flag->IsOfType<std::optional<bool>>(),
                .help = flag->Help(),
                .set = [flag](const std::string& value) {
                  std::string error;
                  return flag->ParseFrom(value, &error);
                }};
  }

  absl::Status Unknown(absl::string_view name) const {
    std::vector<std::string> names(allowed.begin(), allowed.end());
    for (const OptionSpec& option : options) names.emplace_back(option.name);
    const std::string meant = NearestWord(name, names);
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", name,
                     meant.empty() ? "" : absl::StrCat("; did you mean --", meant, "?")));
  }
};

std::string FlagLine(absl::string_view name, absl::string_view form, absl::string_view help) {
  const std::string left = absl::StrCat("--", name, form);
  if (static_cast<int>(left.size()) <= kFlagColumns)
    return absl::StrFormat("  %-*s %s", kFlagColumns, left, help);
  return absl::StrFormat("  %s\n  %-*s %s", left, kFlagColumns, "", help);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseFlags(std::span<const std::string> arguments,
                                                    std::span<const std::string> allowed,
                                                    std::span<const OptionSpec> options,
                                                    OptionValues* values) {
  const FlagSource source = {allowed, options, values};
  std::vector<std::string> positional;
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    if (argument == "--") {
      positional.insert(positional.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                        arguments.end());
      break;
    }
    if (!absl::ConsumePrefix(&argument, "--")) {
      if (argument.size() > 1 && argument[0] == '-') return source.Unknown(argument.substr(1));
      positional.emplace_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = absl::StrReplaceAll(argument.substr(0, equals), {{"-", "_"}});
    std::optional<std::string> value;
    if (equals != argument.npos) value = std::string(argument.substr(equals + 1));

    std::optional<Flag> flag = source.Find(name);
    if (!flag.has_value() && !value.has_value() && absl::StartsWith(name, "no")) {
      flag = source.Find(name.substr(2));
      if (flag.has_value() && !flag->is_switch) flag.reset();
      value = "false";
    }
    if (!flag.has_value()) return source.Unknown(name);
    if (!value.has_value() && flag->is_switch) value = "true";
    if (!value.has_value() && i + 1 < arguments.size()) value = arguments[++i];
    if (!value.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value: ", flag->help));
    }
    if (!flag->set(*value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, ": '", *value, "' is not a value it takes: ", flag->help));
    }
  }
  return positional;
}

std::string DescribeFlags(std::span<const std::string> flags) {
  std::string text;
  for (const std::string& name : flags) {
    const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) continue;
    // Help texts begin with the form of the value: "=N: images to draw".
    const std::string help = flag->Help();
    const size_t colon = help.find(": ");
    const std::string form = absl::StartsWith(help, "=") ? help.substr(0, colon) : "";
    const std::string says = form.empty() ? help : help.substr(colon + 2);
    std::string default_value = flag->DefaultValue();
    if (default_value == "false") default_value.clear();
    absl::StrAppend(&text, FlagLine(name, form, says));
    if (!default_value.empty()) absl::StrAppend(&text, " (default ", default_value, ")");
    text += '\n';
  }
  return text;
}

std::string DescribeOptions(std::span<const OptionSpec> options) {
  std::string text;
  for (const OptionSpec& option : options) {
    const bool is_switch = option.kind == OptionKind::kSwitch;
    absl::StrAppend(
        &text,
        FlagLine(option.name, is_switch ? "" : absl::StrCat("=", ValuesOf(option)), option.help),
        "\n");
  }
  return text;
}

}  // namespace diffusiond
