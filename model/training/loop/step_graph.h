// The same work over and over, launched as one CUDA graph: where kernels are short, the host cannot
// launch them one by one as fast as a GPU runs them.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_STEP_GRAPH_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_STEP_GRAPH_H_

#include <torch/torch.h>

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

  // `work` launches kernels on the current stream of `device`, a GPU, over tensors that are the
  // same at each call, and waits for none of them. It is called kWarmUps + 1 times.
  StepGraph(torch::Device device, std::function<void()> work);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  // Does the work behind all that the device's current stream was given before, and before all that
  // it is given later. INTERNAL: it cannot be captured, says why; no graph can then be captured
  // any more in this process.
  absl::Status Run();

 private:
  struct Capture;
  const std::function<void()> work_;
  std::unique_ptr<Capture> capture_;
  int runs_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_STEP_GRAPH_H_
