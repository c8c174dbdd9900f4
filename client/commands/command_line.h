// diffusionctl's command line: a command, its flags (absl::flags, by reflection) and its arguments.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_COMMAND_LINE_H_
#define DIFFUSIOND_CLIENT_COMMANDS_COMMAND_LINE_H_

#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cancellation.h"
#include "client/sampling_options.h"
#include "client/terminal.h"

namespace diffusiond {

// Exit codes of diffusionctl.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;         // The server, a file or a comparison failed.
inline constexpr int kExitUsage = 2;          // The command line is wrong.
inline constexpr int kExitNotNewest = 3;      // Swapped, but newer versions were refused.
inline constexpr int kExitInterrupted = 130;  // Ctrl-C, as shells count it.

// What a command sees of the world. All pointers not owned and not null.
struct CommandContext {
  std::ostream* out;
  std::ostream* err;
  Cancellation* cancellation;          // Thrown by Ctrl-C.
  std::function<Terminal()> terminal;  // What `err` is: people look there, programs read `out`.
  std::function<absl::Time()> now;
  OptionValues options = {};  // Those of Command::options that the command line sets.
};

// Of text to be read; not more, for longer lines are hard to read.
int TextColumns(const CommandContext& context);

struct FlagAlias {
  std::string alias;
  std::string flag;
};

struct Command {
  std::string name = {};
  std::string arguments = {};                // "[NAME]", for the usage line.
  std::string summary = {};                  // One line.
  std::string details = {};                  // For `diffusionctl help NAME`; may be empty.
  std::vector<std::string> flags = {};       // Of absl::flags.
  std::vector<FlagAlias> aliases = {};       // Other names of them, such as the API's.
  std::span<const OptionSpec> options = {};  // Flags that are options of a table.
  int min_arguments = 0;
  int max_arguments = 0;
  // Returns an exit code; flags are set.
  std::function<int(const std::vector<std::string>& arguments, CommandContext& context)> run =
      nullptr;
};

// Sets the flags in `arguments`, those that are the command's `options` in *values, and returns
// what is not a flag. Takes --name=value, --name value,
// --name and --noname for switches, dashes for underscores, and "--" as the end of flags.
// INVALID_ARGUMENT, with a hint: a flag that the command has not, or a value that does not parse or
// is out of its option's range. What goes with what is the server's to say.
absl::StatusOr<std::vector<std::string>> ParseFlags(std::span<const std::string> arguments,
                                                    const Command& command, OptionValues* values);

// What a person is told of a flag.
struct FlagText {
  std::string name;
  std::string form;  // Of its value: "=N", "=png|webp"; empty: a switch.
  std::string help;
  std::string default_value;  // Empty: nothing worth saying.
};

std::vector<FlagText> FlagTexts(std::span<const std::string> flags);
std::vector<FlagText> FlagTexts(std::span<const OptionSpec> options);

// Two columns, each line at most `columns` wide where its words allow.
std::string DescribeFlags(std::span<const FlagText> flags, int columns);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_COMMAND_LINE_H_
