// Wrong flags end a program with status 2 and one line; Abseil's own parser would say 1.
#ifndef DIFFUSIOND_MODEL_PROCESS_FLAG_CHECK_H_
#define DIFFUSIOND_MODEL_PROCESS_FLAG_CHECK_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

// Exit status of a program whose command line is wrong.
inline constexpr int kExitWrongCommandLine = 2;

enum class AskedOfFlags { kNothing, kHelp, kVersion };

// Reads `arguments`, without the program's name, as absl::ParseCommandLine does: --name=value,
// --name value, --name and --noname for switches, one dash or two, --flagfile, --fromenv,
// --tryfromenv, --undefok, "--" as the end of flags. Sets the flags, up to one that asks for help
// (--help and all that begins so, -h) or the version, whatever comes after it.
// INVALID_ARGUMENT: an unknown flag, with a hint, a value that does not parse, or
// none; the flags before it are set.
absl::StatusOr<AskedOfFlags> CheckFlagArguments(std::span<const std::string> arguments);

// absl::ParseCommandLine: what is no flag, the program's name first. What CheckFlagArguments
// refuses ends the process with kExitWrongCommandLine, "PROGRAM: " and its line on standard error.
// --help (FlagHelp) and --version ("PROGRAM " and BuildVersion) end it with 0.
std::vector<char*> ParseCommandLineOrExit(const char* program, int argc, char** argv);

// INVALID_ARGUMENT: there is more than the first `expected` of `words`, among which is the
// program's name. "--flip false" is such a mistake: a switch takes no word behind it.
absl::Status CheckNoMoreWords(std::span<char* const> words, size_t expected);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_FLAG_CHECK_H_
