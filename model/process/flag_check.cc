#include "model/process/flag_check.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "model/process/build_version.h"
#include "model/process/flag_help.h"
#include "model/process/nearest_word.h"
#include "model/process/standard_streams.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// A time without its unit is what people write who know other programs.
std::string UnitHint(const absl::CommandLineFlag& flag, const std::string& value) {
  double number;
  if (!flag.IsOfType<absl::Duration>() || !absl::SimpleAtod(value, &number)) return "";
  return absl::StrCat("; write its unit, as in ", value, "s or ", value, "ms");
}

// A flag file may name another, which may be itself.
constexpr int kMaxFlagFiles = 100;

struct Argument {
  std::string name;
  std::optional<std::string> value;  // After '='.
};

// Nullopt: no flag.
std::optional<Argument> AsFlag(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "-") || text.empty()) return std::nullopt;
  absl::ConsumePrefix(&text, "-");
  const size_t equals = text.find('=');
  Argument argument{.name = std::string(text.substr(0, equals)), .value = std::nullopt};
  if (equals != text.npos) argument.value = std::string(text.substr(equals + 1));
  return argument;
}

absl::StatusOr<std::vector<std::string>> LinesOf(const std::string& path) {
  const auto unreadable = [&path](int error) {
    return absl::InvalidArgumentError(
        absl::StrCat("--flagfile: cannot read '", path, "': ", std::strerror(error)));
  };
  errno = 0;
  std::ifstream file(path);
  if (!file) return unreadable(errno);
  if (file.peek() == std::ifstream::traits_type::eof() && file.bad()) return unreadable(errno);
  std::vector<std::string> lines;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text[0] == '#') continue;
    if (text[0] != '-') {
      return absl::InvalidArgumentError(absl::StrCat("--flagfile: '", path, "' has in line ",
                                                     number, " '", text,
                                                     "', which is no flag: it begins with --"));
    }
    lines.emplace_back(text);
  }
  return lines;
}

class Checker {
 public:
  explicit Checker(std::span<const std::string> arguments)
      : left_(arguments.begin(), arguments.end()) {}

  absl::StatusOr<AskedOfFlags> Check() {
    while (!left_.empty()) {
      const std::string text = Take();
      if (text == "--") break;
      const std::optional<Argument> argument = AsFlag(text);
      if (!argument.has_value()) continue;
      if (absl::StartsWith(argument->name, "help") || argument->name == "h") {
        return AskedOfFlags::kHelp;
      }
      if (argument->name == "version") return AskedOfFlags::kVersion;
      RETURN_IF_ERROR(Set(*argument));
    }
    for (const std::string& name : unknown_) {
      if (std::find(permitted_.begin(), permitted_.end(), name) == permitted_.end()) {
        return Unknown(name);
      }
    }
    return AskedOfFlags::kNothing;
  }

 private:
  std::string Take() {
    std::string text = std::move(left_.front());
    left_.pop_front();
    return text;
  }

  absl::Status Set(const Argument& argument) {
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(argument.name);
    absl::string_view positive = argument.name;
    const bool negative = flag == nullptr && absl::ConsumePrefix(&positive, "no");
    if (negative) flag = absl::FindCommandLineFlag(positive);
    if (flag == nullptr) {
      unknown_.push_back(argument.name);
      return absl::OkStatus();
    }
    std::optional<std::string> value = argument.value;
    if (negative && (value.has_value() || !flag->IsOfType<bool>())) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", argument.name, ": --", positive,
                       flag->IsOfType<bool>() ? " turned off takes no value" : " is no switch"));
    }
    if (!value.has_value() && flag->IsOfType<bool>()) value = negative ? "false" : "true";
    if (!value.has_value() && !left_.empty()) value = Take();
    if (!value.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", argument.name, " needs a value: ", flag->Help()));
    }
    if (StandsForOthers(argument.name)) return Follow(argument.name, *value);
    std::string error;
    if ((value->empty() && flag->IsOfType<bool>()) || !flag->ParseFrom(*value, &error)) {
      return absl::InvalidArgumentError(absl::StrCat("--", flag->Name(), ": '", *value,
                                                     "' is not a value it takes",
                                                     UnitHint(*flag, *value), ": ", flag->Help()));
    }
    return absl::OkStatus();
  }

  // They are not set: Abseil would follow them once more, before all that the command line has.
  static bool StandsForOthers(absl::string_view name) {
    return name == "flagfile" || name == "fromenv" || name == "tryfromenv" || name == "undefok";
  }

  absl::Status Follow(const std::string& name, const std::string& value) {
    const std::vector<std::string> parts = absl::StrSplit(value, ',', absl::SkipEmpty());
    std::vector<std::string> more;
    if (name == "undefok") permitted_ = parts;
    if (name == "flagfile") {
      for (const std::string& path : parts) {
        if (++files_ > kMaxFlagFiles) {
          return absl::InvalidArgumentError(absl::StrCat("--flagfile: more than ", kMaxFlagFiles,
                                                         " of them, the last '", path, "'"));
        }
        ASSIGN_OR_RETURN(std::vector<std::string> lines, LinesOf(path));
        std::move(lines.begin(), lines.end(), std::back_inserter(more));
      }
    }
    if (name == "fromenv" || name == "tryfromenv") {
      for (const std::string& each : parts) {
        const char* const set = std::getenv(absl::StrCat("FLAGS_", each).c_str());
        if (set != nullptr) more.push_back(absl::StrCat("--", each, "=", set));
        if (set == nullptr && name == "fromenv") {
          return absl::InvalidArgumentError(
              absl::StrCat("--fromenv: FLAGS_", each, " is not in the environment"));
        }
      }
    }
    left_.insert(left_.begin(), more.begin(), more.end());
    return absl::OkStatus();
  }

  static absl::Status Unknown(const std::string& name) {
    std::vector<std::string> known;
    for (const auto& [each, flag] : absl::GetAllFlags()) {
      if (!flag->IsRetired()) known.emplace_back(each);
    }
    std::sort(known.begin(), known.end());
    const std::string meant = NearestWord(name, known);
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", name,
                     meant.empty() ? "" : absl::StrCat("; did you mean --", meant, "?")));
  }

  std::deque<std::string> left_;
  std::vector<std::string> unknown_, permitted_;
  int files_ = 0;
};

}  // namespace

absl::StatusOr<AskedOfFlags> CheckFlagArguments(std::span<const std::string> arguments) {
  return Checker(arguments).Check();
}

absl::Status CheckNoMoreWords(std::span<char* const> words, size_t expected) {
  if (words.size() <= expected) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("unexpected argument \"", words[expected],
                   "\"; flags begin with --, and a switch is turned off by --noNAME or "
                   "--NAME=false"));
}

std::vector<char*> ParseCommandLineOrExit(const char* program, int argc, char** argv) {
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  const absl::StatusOr<AskedOfFlags> asked = CheckFlagArguments(arguments);
  if (!asked.ok()) {
    std::fprintf(stderr, "%s: %s\n", program, std::string(asked.status().message()).c_str());
    std::exit(kExitWrongCommandLine);
  }
  if (*asked == AskedOfFlags::kNothing) return absl::ParseCommandLine(argc, argv);
  const std::string says =
      *asked == AskedOfFlags::kHelp ? FlagHelp(HelpColumns()) : absl::StrCat(BuildVersion(), "\n");
  std::printf("%s%s%s", program, *asked == AskedOfFlags::kHelp ? ": " : " ", says.c_str());
  std::exit(FinishStandardOutput(program, 0));
}

}  // namespace diffusiond
