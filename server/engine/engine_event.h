// What the engine decided that somebody should hear of, as plain data.
#ifndef DIFFUSIOND_SERVER_ENGINE_ENGINE_EVENT_H_
#define DIFFUSIOND_SERVER_ENGINE_ENGINE_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "model/imaging/image.h"
#include "server/engine/engine_metrics.h"
#include "server/engine/generation.h"

namespace diffusiond {

// For the listener of one generation; GenerationListener has a call for each kind.
struct EngineEvent {
  using Progress = StepProgress;
  struct Preview {
    int image_index = 0;
    int steps_done = 0;
    double timestep = 0;
    PreviewContent kind = PreviewContent::kNone;
    Frame frame;
  };
  struct FinalImage {
    int image_index = 0;
    Frame frame;
  };
  struct Finished {
    absl::Status status;
    GenerationTimings timings;
  };
  using What = std::variant<Progress, Preview, FinalImage, Finished>;

  GenerationId generation = 0;
  What what;
};

// For EngineMetrics, which has a call for each member.
struct EngineCounts {
  std::vector<EngineMetrics::FirstStep> first_steps;
  std::vector<EngineMetrics::GenerationEnd> finished;
  std::optional<EngineMetrics::Step> step;    // That was done.
  std::optional<std::string> device_failure;  // The model whose step failed.
  std::vector<int64_t> release_delays;
  int preemptions = 0;
  int migrations = 0;

  bool empty() const {
    return first_steps.empty() && finished.empty() && !step.has_value() &&
           !device_failure.has_value() && release_delays.empty() && preemptions == 0 &&
           migrations == 0;
  }
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_ENGINE_EVENT_H_
