// What diffusion-eval can be told to do.
#ifndef DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_COMMANDS_H_
#define DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_COMMANDS_H_

#include <span>

#include "absl/status/status.h"

namespace diffusiond {

struct EvalCommand {
  const char* name;
  const char* summary;  // One line.
  absl::Status (*run)();
};

std::span<const EvalCommand> EvalCommands();

// Each reads its flags, prints its result and writes it to --out. INVALID_ARGUMENT names the flag.
absl::Status RunSamplesCommand();
absl::Status RunBitsPerDimCommand();
absl::Status RunOdeCommand();
absl::Status RunLossyCommand();
absl::Status RunStatisticsCommand();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROGRAMS_EVALUATION_COMMANDS_H_
