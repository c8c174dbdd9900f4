#include "model/process/flag_help.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "model/process/wrapped_text.h"

namespace diffusiond {
namespace {

constexpr int kUsualColumns = 80;
constexpr int kLeastColumns = 40;
constexpr int kMostColumns = 120;  // Longer lines are not read with ease.
constexpr int kHelpIndent = 8;

// The stem of one of the project's sources; empty: of a library.
absl::string_view StemOfOwnSource(absl::string_view file) {
  for (const absl::string_view folder : {"client/", "model/", "server/", "tests/"}) {
    if (!absl::StartsWith(file, folder) && !absl::StrContains(file, absl::StrCat("/", folder))) {
      continue;
    }
    absl::string_view stem = file.substr(file.rfind('/') + 1);
    return stem.substr(0, stem.find('.'));
  }
  return "";
}

// "data_flags" -> "Data flags"; of main, "Flags".
std::string Heading(absl::string_view stem) {
  if (absl::EndsWith(stem, "_main")) return "Flags";
  absl::ConsumeSuffix(&stem, "_flags");
  std::string words = absl::StrReplaceAll(stem, {{"_", " "}});
  words[0] = absl::ascii_toupper(static_cast<unsigned char>(words[0]));
  return absl::StrCat(words, " flags");
}

std::string DescribeFlag(const absl::CommandLineFlag& flag, int columns) {
  const bool is_switch = flag.IsOfType<bool>();
  const std::string value = flag.DefaultValue();
  std::string help = flag.Help();
  if (!value.empty()) absl::StrAppend(&help, " (default ", value, ")");
  return absl::StrCat("  --", is_switch ? "[no]" : "", flag.Name(), is_switch ? "" : "=...", "\n",
                      std::string(kHelpIndent, ' '), WrapText(help, kHelpIndent, columns), "\n");
}

// Itself, or in single quotes where a shell would see something else in it.
std::string ForShell(const std::string& value) {
  const auto plain = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_-./,:+@%=", c);
  };
  if (!value.empty() && std::all_of(value.begin(), value.end(), plain)) return value;
  return absl::StrCat("'", absl::StrReplaceAll(value, {{"'", "'\\''"}}), "'");
}

}  // namespace

int HelpColumns() {
  winsize size = {};
  const bool told = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return told ? std::clamp<int>(size.ws_col, kLeastColumns, kMostColumns) : kUsualColumns;
}

std::string FlagHelp(int columns) {
  // By whether it is another's than main, heading, name.
  std::map<std::tuple<bool, std::string, std::string>, const absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    const std::string file = flag->Filename();
    const absl::string_view stem = StemOfOwnSource(file);
    if (stem.empty() || flag->IsRetired()) continue;
    flags[{!absl::EndsWith(stem, "_main"), Heading(stem), std::string(name)}] = flag;
  }
  std::string text = std::string(absl::ProgramUsageMessage());
  absl::StripTrailingAsciiWhitespace(&text);
  absl::StrAppend(&text, "\n\n",
                  WrapText("Flags may also stand in files, one a line: --flagfile=FILE. --version "
                           "says version and commit.",
                           0, columns),
                  "\n");
  std::optional<std::string> last;
  for (const auto& [place, flag] : flags) {
    if (last != std::get<1>(place)) absl::StrAppend(&text, "\n", std::get<1>(place), ":\n");
    last = std::get<1>(place);
    text += DescribeFlag(*flag, columns);
  }
  return text;
}

std::string CommandByFlags(const std::string& program) {
  std::map<std::string, std::string> changed;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (StemOfOwnSource(flag->Filename()).empty() || flag->IsRetired()) continue;
    const std::string value = flag->CurrentValue();
    if (value != flag->DefaultValue()) changed[std::string(name)] = value;
  }
  std::string command = program;
  for (const auto& [name, value] : changed) {
    absl::StrAppend(&command, " --", name, value == "true" ? "" : "=",
                    value == "true" ? "" : ForShell(value));
  }
  return command;
}

}  // namespace diffusiond
