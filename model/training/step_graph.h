// The same work over and over, launched as one CUDA graph: where kernels are short, the host cannot
// launch them one by one as fast as a GPU runs them.
#ifndef DIFFUSIOND_MODEL_TRAINING_STEP_GRAPH_H_
#define DIFFUSIOND_MODEL_TRAINING_STEP_GRAPH_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"

namespace diffusiond {

// Whether this build has CUDA.
bool HasStepGraphs();

// Thread-compatible. Needs HasStepGraphs().
class StepGraph {
 public:
  // Runs before the work is captured, in which LibTorch's kernels settle on their ways.
  static constexpr int kWarmUps = 3;

  // `work` launches kernels on the current device's current stream, over tensors that are the same
  // at each call, and waits for none of them. It is called kWarmUps + 1 times.
  explicit StepGraph(std::function<void()> work);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  // Does the work behind all that the current stream was given before, and before all that it is
  // given later. INTERNAL: it cannot be captured, says why.
  absl::Status Run();

 private:
  struct Capture;
  const std::function<void()> work_;
  std::unique_ptr<Capture> capture_;
  int runs_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_STEP_GRAPH_H_
