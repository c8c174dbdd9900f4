#include "client/commands/commands.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/process/build_version.h"
#include "model/process/nearest_word.h"

namespace diffusiond {
namespace {

constexpr char kExamples[] = R"(
Examples:
  diffusionctl generate                                four images by the server's model
  diffusionctl generate --class=sneaker --seed=7       always the same four sneakers
  diffusionctl generate --count=16 --sheet=sheet.png   and all of them on one sheet
  diffusionctl generate --strip=strip.png              and how they came out of the noise
  diffusionctl grid --x=steps:5,10,20 --y=sampler:ddim,unipc   what a choice changes
  diffusionctl replay fashion-mnist-7-0.png            is this still the same image?

diffusionctl help COMMAND tells a command's flags. All talk to --server=127.0.0.1:50051,
those for operators to --admin=127.0.0.1:50052.
)";

std::string Usage(std::span<const Command> commands) {
  std::string text =
      "diffusionctl draws images with a diffusiond server, and shows them while they are drawn.\n\n"
      "Usage: diffusionctl COMMAND [flags]\n\n";
  for (const Command& command : commands) {
    absl::StrAppendFormat(&text, "  %-20s %s\n", absl::StrCat(command.name, " ", command.arguments),
                          command.summary);
  }
  return text + kExamples;
}

std::string OtherNames(std::span<const FlagAlias> aliases) {
  std::string text;
  for (const FlagAlias& other : aliases) {
    absl::StrAppend(&text, text.empty() ? "\nOther names, the API's:\n" : "", "  --", other.alias,
                    " is --", other.flag, "\n");
  }
  return text;
}

std::string CommandHelp(const Command& command, int columns) {
  return absl::StrCat(
      "Usage: diffusionctl ", command.name, " [flags]", command.arguments.empty() ? "" : " ",
      command.arguments, "\n\n", command.summary, "\n", command.details.empty() ? "" : "\n",
      command.details, "\nFlags:\n", DescribeFlags(FlagTexts(command.flags), columns),
      command.options.empty() ? "" : "\nOptions of samplers and guidance:\n",
      DescribeFlags(FlagTexts(command.options), columns), OtherNames(command.aliases));
}

int UsageError(absl::string_view message, absl::string_view help, CommandContext& context) {
  *context.err << "diffusionctl: " << message << "\n  See: diffusionctl help" << help << "\n";
  return kExitUsage;
}

int UnknownCommand(const std::string& name, std::span<const Command> commands,
                   CommandContext& context) {
  std::vector<std::string> names = {"help"};
  for (const Command& command : commands) names.push_back(command.name);
  const std::string meant = NearestWord(name, names);
  return UsageError(
      absl::StrCat("unknown command '", name, "'",
                   meant.empty() ? "" : absl::StrCat("; did you mean '", meant, "'?")),
      "", context);
}

bool AsksForHelp(absl::string_view argument) {
  return argument == "help" || argument == "--help" || argument == "-h";
}

}  // namespace

std::vector<Command> AllCommands() {
  return {GenerateCommand(), GridCommand(),     ModelsCommand(), SamplersCommand(),
          ReplayCommand(),   HealthCommand(),   LoadCommand(),   VersionsCommand(),
          SwapCommand(),     RollbackCommand(), TokenCommand(),  CompletionCommand()};
}

int RunDiffusionctl(std::span<const std::string> arguments, CommandContext& context) {
  const std::vector<Command> commands = AllCommands();
  const auto find = [&commands](const std::string& name) {
    return std::find_if(commands.begin(), commands.end(),
                        [&name](const Command& command) { return command.name == name; });
  };
  if (arguments.empty() || (AsksForHelp(arguments[0]) && arguments.size() == 1)) {
    *context.out << Usage(commands);
    return kExitOk;
  }
  if (arguments[0] == "--version") {
    *context.out << "diffusionctl " << BuildVersion() << "\n";
    return kExitOk;
  }
  const bool help = AsksForHelp(arguments[0]);
  const std::string& name = help ? arguments[1] : arguments[0];
  const auto command = find(name);
  if (command == commands.end()) return UnknownCommand(name, commands, context);
  const std::span<const std::string> rest = arguments.subspan(1);
  if (help || std::any_of(rest.begin(), rest.end(), [](const std::string& argument) {
        return argument == "--help" || argument == "-h";
      })) {
    *context.out << CommandHelp(*command, TextColumns(context));
    return kExitOk;
  }

  const auto positional = ParseFlags(rest, *command, &context.options);
  if (!positional.ok()) {
    return UsageError(positional.status().message(), " " + name, context);
  }
  const int count = static_cast<int>(positional->size());
  if (count < command->min_arguments || count > command->max_arguments) {
    return UsageError(
        count > command->max_arguments
            ? absl::StrCat(name, " does not take '", positional->at(command->max_arguments), "'")
            : absl::StrCat(name, " needs ", command->arguments),
        " " + name, context);
  }
  return command->run(*positional, context);
}

}  // namespace diffusiond
