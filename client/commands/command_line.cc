#include "client/commands/command_line.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "model/process/nearest_word.h"
#include "model/process/wrapped_text.h"

namespace diffusiond {
namespace {

constexpr int kFlagColumns = 26;

// What flags are called by programs that people know: ComfyUI, A1111, diffusers, curl.
constexpr std::pair<absl::string_view, absl::string_view> kCalledElsewhere[] = {
    {"address", "server"},
    {"addr", "server"},
    {"batch_count", "count"},
    {"batch_size", "count"},
    {"cfg", "guidance_scale"},
    {"cfg_scale", "guidance_scale"},
    {"checkpoint", "model"},
    {"ckpt", "model"},
    {"denoise", "strength"},
    {"denoising_strength", "strength"},
    {"host", "server"},
    {"image", "init_image"},
    {"label", "class"},
    {"n", "count"},
    {"num_images", "count"},
    {"num_images_per_prompt", "count"},
    {"num_inference_steps", "steps"},
    {"o", "out"},
    {"output", "out"},
    {"port", "server"},
    {"prompt", "class"},
    {"sampler_name", "sampler"},
    {"scheduler", "sampler"},
    {"timeout", "deadline"},
    {"url", "server"},
};

// A flag of absl's or an option of a table.
struct Flag {
  bool is_switch = false;
  std::string help;
  // OK, or why not, behind the flag's name.
  std::function<absl::Status(const std::string& value)> set;
};

absl::Status NoValue(absl::string_view value, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", value, "' is not a value it takes: ", expected));
}

absl::Status SetFlag(absl::CommandLineFlag& flag, const std::string& value) {
  std::string error;
  if (flag.ParseFrom(value, &error)) return absl::OkStatus();
  // What the flag's own parser says stands behind what absl says of every flag.
  absl::string_view reason = error;
  const bool told = absl::ConsumePrefix(
      &reason,
      absl::StrCat("Illegal value '", value, "' specified for flag '", flag.Name(), "'; "));
  return NoValue(value, told ? reason : flag.Help());
}

// Where the command line's flags are looked for.
struct FlagSource {
  const Command& command;
  OptionValues* values;

  std::optional<Flag> Find(std::string name) const {
    for (const FlagAlias& other : command.aliases) {
      if (other.alias == name) name = other.flag;
    }
    for (const OptionSpec& option : command.options) {
      if (option.name != name) continue;
      return Flag{
          .is_switch = option.kind == OptionKind::kSwitch,
          .help = absl::StrCat("=", ValuesOf(option), ": ", option.help),
          .set = [this, &option](const std::string& text) { return SetOption(option, text); }};
    }
    const auto& flags = command.flags;
    if (std::find(flags.begin(), flags.end(), name) == flags.end()) return std::nullopt;
    absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) return std::nullopt;
    return Flag{.is_switch = flag->IsOfType<bool>() || flag->IsOfType<std::optional<bool>>(),
                .help = flag->Help(),
                .set = [flag](const std::string& value) { return SetFlag(*flag, value); }};
  }

  absl::Status SetOption(const OptionSpec& option, const std::string& text) const {
    const std::optional<OptionValue> value = FromText(option, text);
    if (!value.has_value()) {
      return NoValue(text, absl::StrCat("=", ValuesOf(option), ": ", option.help));
    }
    const std::string fault = FaultOf(option, *value);
    if (!fault.empty()) return absl::InvalidArgumentError(fault);
    (*values)[std::string(option.name)] = *value;
    return absl::OkStatus();
  }

  absl::Status Unknown(absl::string_view name) const {
    std::vector<std::string> names = command.flags;
    for (const OptionSpec& option : command.options) names.emplace_back(option.name);
    for (const FlagAlias& other : command.aliases) names.push_back(other.alias);
    std::string meant = NearestWord(name, names);
    for (const auto& [there, here] : kCalledElsewhere) {
      const bool known = std::find(names.begin(), names.end(), here) != names.end();
      if (there == name && known) meant = std::string(here);
    }
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", name,
                     meant.empty() ? "" : absl::StrCat("; did you mean --", meant, "?")));
  }
};

}  // namespace

int TextColumns(const CommandContext& context) {
  return std::clamp(context.terminal().columns, 40, 120);
}

absl::StatusOr<std::vector<std::string>> ParseFlags(std::span<const std::string> arguments,
                                                    const Command& command, OptionValues* values) {
  const FlagSource source = {command, values};
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
    if (const absl::Status set = flag->set(*value); !set.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": ", set.message()));
    }
  }
  return positional;
}

std::vector<FlagText> FlagTexts(std::span<const std::string> flags) {
  std::vector<FlagText> texts;
  for (const std::string& name : flags) {
    const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) continue;
    // Help texts begin with the form of the value: "=N: images to draw".
    const std::string help = flag->Help();
    const size_t colon = help.find(": ");
    FlagText& text = texts.emplace_back();
    text.name = name;
    if (absl::StartsWith(help, "=")) text.form = help.substr(0, colon);
    text.help = text.form.empty() ? help : help.substr(colon + 2);
    text.default_value = flag->DefaultValue();
    if (text.default_value == "false") text.default_value.clear();
  }
  return texts;
}

std::vector<FlagText> FlagTexts(std::span<const OptionSpec> options) {
  std::vector<FlagText> texts;
  for (const OptionSpec& option : options) {
    const bool is_switch = option.kind == OptionKind::kSwitch;
    texts.push_back({.name = std::string(option.name),
                     .form = is_switch ? "" : absl::StrCat("=", ValuesOf(option)),
                     .help = std::string(option.help),
                     .default_value = ""});
  }
  return texts;
}

std::string DescribeFlags(std::span<const FlagText> flags, int columns) {
  std::string text;
  for (const FlagText& flag : flags) {
    const std::string left = absl::StrCat("--", flag.name, flag.form);
    const std::string help = flag.default_value.empty()
                                 ? flag.help
                                 : absl::StrCat(flag.help, " (default ", flag.default_value, ")");
    if (static_cast<int>(left.size()) <= kFlagColumns) {
      absl::StrAppendFormat(&text, "  %-*s ", kFlagColumns, left);
    } else {
      absl::StrAppendFormat(&text, "  %s\n  %-*s ", left, kFlagColumns, "");
    }
    absl::StrAppend(&text, WrapText(help, kFlagColumns + 3, columns), "\n");
  }
  return text;
}

}  // namespace diffusiond
