#include "client/commands/command_line.h"

#include <algorithm>
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

bool Contains(std::span<const std::string> words, absl::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool IsSwitch(const absl::CommandLineFlag& flag) {
  return flag.IsOfType<bool>() || flag.IsOfType<std::optional<bool>>();
}

absl::Status UnknownFlag(absl::string_view name, std::span<const std::string> allowed) {
  const std::string meant = NearestWord(name, allowed);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag --", name, meant.empty() ? "" : absl::StrCat("; did you mean --", meant, "?")));
}

absl::Status SetFlag(absl::CommandLineFlag& flag, absl::string_view value) {
  std::string error;
  if (flag.ParseFrom(value, &error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag.Name(), ": '", value, "' is not a value it takes: ", flag.Help()));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseFlags(std::span<const std::string> arguments,
                                                    std::span<const std::string> allowed) {
  std::vector<std::string> positional;
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    if (argument == "--") {
      positional.insert(positional.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                        arguments.end());
      break;
    }
    if (!absl::ConsumePrefix(&argument, "--")) {
      if (argument.size() > 1 && argument[0] == '-')
        return UnknownFlag(argument.substr(1), allowed);
      positional.emplace_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = absl::StrReplaceAll(argument.substr(0, equals), {{"-", "_"}});
    std::optional<std::string> value;
    if (equals != argument.npos) value = std::string(argument.substr(equals + 1));

    absl::CommandLineFlag* flag =
        Contains(allowed, name) ? absl::FindCommandLineFlag(name) : nullptr;
    if (flag == nullptr && !value.has_value() && absl::StartsWith(name, "no") &&
        Contains(allowed, name.substr(2))) {
      flag = absl::FindCommandLineFlag(name.substr(2));
      if (flag != nullptr && !IsSwitch(*flag)) flag = nullptr;
      value = "false";
    }
    if (flag == nullptr) return UnknownFlag(name, allowed);
    if (!value.has_value() && IsSwitch(*flag)) value = "true";
    if (!value.has_value() && i + 1 < arguments.size()) value = arguments[++i];
    if (!value.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value: ", flag->Help()));
    }
    absl::Status set = SetFlag(*flag, *value);
    if (!set.ok()) return set;
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
    std::string left = absl::StrCat("--", name, form);
    std::string default_value = flag->DefaultValue();
    if (default_value == "false") default_value.clear();
    absl::StrAppend(&text, absl::StrFormat("  %-*s ", kFlagColumns, left), says);
    if (!default_value.empty()) absl::StrAppend(&text, " (default ", default_value, ")");
    text += '\n';
  }
  return text;
}

}  // namespace diffusiond
