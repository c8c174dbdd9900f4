#include "model/training/loop/step_graph.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

#if DIFFUSIOND_WITH_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace diffusiond {

#if DIFFUSIOND_WITH_CUDA

bool HasStepGraphs() { return true; }

struct StepGraph::Capture {
  explicit Capture(torch::Device device)
      : stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  // Launches what `work` does as a graph, from now on. On the current stream.
  absl::Status Begin(const std::function<void()>& work) {
    try {
      graph.capture_begin();
      work();
      graph.capture_end();
      return absl::OkStatus();
    } catch (const std::exception& error) {
      const std::string what = error.what();
      try {
        graph.capture_end();  // Or the thread could not use the device.
      } catch (const std::exception&) {
      }
      return absl::InternalError(absl::StrCat("the step cannot be captured as a CUDA graph: ",
                                              what.substr(0, what.find('\n'))));
    }
  }

  c10::cuda::CUDAStream stream;  // The default one cannot be captured.
  at::cuda::CUDAGraph graph;
};

StepGraph::StepGraph(torch::Device device, std::function<void()> work)
    : work_(std::move(work)), capture_(std::make_unique<Capture>(device)) {}

StepGraph::~StepGraph() = default;

absl::Status StepGraph::Run() {
  const c10::cuda::CUDAStream outside =
      c10::cuda::getCurrentCUDAStream(capture_->stream.device_index());
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
        // The graph gets memory of its own; what the runs before held cannot be freed meanwhile.
        c10::cuda::CUDACachingAllocator::emptyCache();
        RETURN_IF_ERROR(capture_->Begin(work_));
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

StepGraph::StepGraph(torch::Device, std::function<void()> work) : work_(std::move(work)) {}

StepGraph::~StepGraph() = default;

absl::Status StepGraph::Run() {
  return absl::UnimplementedError("this LibTorch is built without CUDA");
}

#endif

}  // namespace diffusiond
