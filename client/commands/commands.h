// The commands of diffusionctl, and the choice among them.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_COMMANDS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_COMMANDS_H_

#include <span>
#include <string>
#include <vector>

#include "client/commands/command_line.h"

namespace diffusiond {

Command GenerateCommand();
Command GridCommand();
Command ModelsCommand();
Command SamplersCommand();
Command ReplayCommand();
Command HealthCommand();
Command LoadCommand();
Command VersionsCommand();
Command SwapCommand();
Command RollbackCommand();
Command TokenCommand();
Command CompletionCommand();

// In the order in which they are told of.
std::vector<Command> AllCommands();

// Runs `arguments` (without the program's name) and returns the exit code. Sets the process's flags
// and leaves them set.
int RunDiffusionctl(std::span<const std::string> arguments, CommandContext& context);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_COMMANDS_H_
