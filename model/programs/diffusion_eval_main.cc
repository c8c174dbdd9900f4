// diffusion-eval: what a checkpoint can do, in numbers and pictures, for its model card.
#include <array>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/process/flag_check.h"
#include "model/process/standard_streams.h"
#include "model/programs/evaluation/commands.h"
#include "model/status/status_macros.h"
#include "model/unet/device_option.h"

namespace diffusiond {

std::span<const EvalCommand> EvalCommands() {
  static constexpr std::array kCommands = {
      EvalCommand{"samples", "draws images, and has a classifier judge them", RunSamplesCommand},
      EvalCommand{"bpd", "bits/dim by the variational bound, term by term", RunBitsPerDimCommand},
      EvalCommand{"ode", "bits/dim by the probability-flow ODE", RunOdeCommand},
      EvalCommand{"lossy", "rate and distortion of the progressive lossy code", RunLossyCommand},
      EvalCommand{"statistics", "Frechet distance, Inception score, precision and recall",
                  RunStatisticsCommand},
  };
  return kCommands;
}

namespace {

std::string Usage() {
  std::string usage =
      "measures a checkpoint.\n"
      "  diffusion-eval COMMAND --checkpoint=runs/first/checkpoint --data=images/ --out=eval\n"
      "Commands:";
  for (const EvalCommand& command : EvalCommands()) {
    absl::StrAppendFormat(&usage, "\n  %-10s  %s", command.name, command.summary);
  }
  return usage;
}

absl::Status RunNamed(const std::vector<char*>& words) {
  RETURN_IF_ERROR(CheckNoMoreWords(words, 2));
  std::string names;
  for (const EvalCommand& command : EvalCommands()) {
    if (words.size() == 2 && std::string(words[1]) == command.name) return command.run();
    absl::StrAppend(&names, names.empty() ? "" : ", ", command.name);
  }
  return absl::InvalidArgumentError(
      words.size() < 2 ? absl::StrCat("no command; it must be one of ", names)
                       : absl::StrCat("command is \"", words[1], "\"; it must be one of ", names));
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::OpenStandardStreams();
  absl::SetProgramUsageMessage(diffusiond::Usage());
  absl::Status status;
  try {
    diffusiond::UseFullFloat32();
    status = diffusiond::RunNamed(diffusiond::ParseCommandLineOrExit("diffusion-eval", argc, argv));
  } catch (const std::exception& error) {  // LibTorch's.
    status = absl::InternalError(error.what());
  }
  if (status.ok()) return diffusiond::FinishStandardOutput("diffusion-eval", 0);
  std::cerr << "diffusion-eval: " << status.message() << "\n";
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
