// diffusionctl: see `diffusionctl help`.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "client/cancellation.h"
#include "client/commands/commands.h"
#include "client/interrupt.h"
#include "client/terminal.h"
#include "model/process/standard_streams.h"

int main(int argc, char** argv) {
  using diffusiond::DetectTerminal;
  diffusiond::OpenStandardStreams();
  const auto cancellation = diffusiond::Cancellation::Create();
  if (!cancellation.ok()) {
    std::cerr << "diffusionctl: " << cancellation.status().message() << "\n";
    return diffusiond::kExitFailed;
  }
  const auto terminal = [] { return DetectTerminal(STDERR_FILENO, std::getenv); };
  diffusiond::CancelOnSignals(cancellation->get(), terminal().interactive ? STDERR_FILENO : -1);
  diffusiond::CommandContext context{.out = &std::cout,
                                     .err = &std::cerr,
                                     .cancellation = cancellation->get(),
                                     .terminal = terminal,
                                     .now = absl::Now};
  return diffusiond::FinishStandardOutput(
      "diffusionctl",
      diffusiond::RunDiffusionctl(std::vector<std::string>(argv + 1, argv + argc), context));
}
