#include "model/training/step_graph.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#if DIFFUSIOND_WITH_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace diffusiond {

#if DIFFUSIOND_WITH_CUDA

bool HasStepGraphs() { return true; }

// Capturing is not possible on the default stream.
struct StepGraph::Capture {
  c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  at::cuda::CUDAGraph graph;
};

StepGraph::StepGraph(std::function<void()> work)
    : work_(std::move(work)), capture_(std::make_unique<Capture>()) {}

StepGraph::~StepGraph() = default;

absl::Status StepGraph::Run() {
  const c10::cuda::CUDAStream outside = c10::cuda::getCurrentCUDAStream();
  at::cuda::CUDAEvent before, after;
  before.record(outside);
  before.block(capture_->stream);
  {
    const c10::cuda::CUDAStreamGuard guard(capture_->stream);
    if (runs_ < kWarmUps) {
      work_();
    } else {
      if (runs_ == kWarmUps) {
        capture_->stream.synchronize();
        try {
          capture_->graph.capture_begin();
          work_();
          capture_->graph.capture_end();
        } catch (const std::exception& error) {
          const std::string what = error.what();
          return absl::InternalError(absl::StrCat("the step cannot be captured as a CUDA graph: ",
                                                  what.substr(0, what.find('\n'))));
        }
      }
      capture_->graph.replay();
    }
    ++runs_;
  }
  after.record(capture_->stream);
  after.block(outside);
  return absl::OkStatus();
}

#else

bool HasStepGraphs() { return false; }

struct StepGraph::Capture {};

StepGraph::StepGraph(std::function<void()> work) : work_(std::move(work)) {}

StepGraph::~StepGraph() = default;

absl::Status StepGraph::Run() {
  return absl::UnimplementedError("this LibTorch is built without CUDA");
}

#endif

}  // namespace diffusiond
