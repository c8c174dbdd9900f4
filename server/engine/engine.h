// The step engine: many requests in, one step batch at a time out.
//
// A generation (one request) is `count` trajectories (one image each). A worker takes a StepBatch
// of trajectories of one model, runs one plan row of each, and gives them back; finished ones leave
// and waiting ones enter between any two steps. The engine knows no sampler, no tensor, no gRPC.
#ifndef DIFFUSIOND_SERVER_ENGINE_ENGINE_H_
#define DIFFUSIOND_SERVER_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "model/imaging/image.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

using GenerationId = uint64_t;

enum class PreviewContent { kNone, kXt, kX0Hat, kBoth };

struct GenerationSpec {
  std::string model;  // Key of the model whose executors run this.
  std::vector<TrajectorySpec> trajectories;
  int preview_every_steps = 0;  // 0: none.
  PreviewContent preview_content = PreviewContent::kNone;
  absl::Time deadline = absl::InfiniteFuture();
};

struct GenerationTimings {
  absl::Duration queue;    // Submit to the first step's start.
  absl::Duration compute;  // First step's start to the last step's end.
};

// Hears of one generation. Calls come one at a time, from worker threads or from Cancel's caller,
// with no engine lock held; they must not block. OnFinished is the last call and always comes.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  virtual void OnProgress(int image_index, int steps_done, int steps_total) = 0;
  // x_t or x0_hat after `steps_done` steps; timestep as PlanRow::next_timestep.
  virtual void OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                         Frame frame) = 0;
  virtual void OnImage(int image_index, Frame frame) = 0;
  // OK after every image was delivered; CANCELLED, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE.
  virtual void OnFinished(absl::Status status, GenerationTimings timings) = 0;
};

// What the engine counts. Implemented over prometheus-cpp in server/metrics; calls must not block.
class EngineMetrics {
 public:
  virtual ~EngineMetrics() = default;
  virtual void OnQueueDepth(int waiting_trajectories, int resident_trajectories) {}
  virtual void OnFirstStep(absl::Duration queue_wait) {}
  // One network-side step batch: rows carried, of how many without padding to micro-batches.
  virtual void OnStepBatch(const std::string& model, int network_rows, int padded_network_rows,
                           absl::Duration duration) {}
  virtual void OnGenerationFinished(const absl::Status& status) {}
};

// Thread-safe.
class Engine {
 public:
  struct Options {
    // Trajectories admitted and not finished; Submit refuses what would pass it. At least 1.
    int max_trajectories = 1024;
    // Trajectories that may hold registers (device memory) at once, per model; the rest wait. At
    // least 1.
    int max_resident_trajectories = 256;
    EngineMetrics* metrics = nullptr;  // Not owned; null: not counted.
    std::function<absl::Time()> now = absl::Now;  // Tests hand in a fake clock.
  };

  // One trajectory in a worker's hands.
  struct BatchRow;

  // A worker's work for one step. Must be given back to Complete.
  struct StepBatch {
    std::string model;
    std::vector<StepRow> rows;  // What StepExecutor::Step takes.
    // Engine's own bookkeeping, one entry a row.
    std::vector<std::shared_ptr<BatchRow>> owners;
    absl::Time started;
  };

  // What a worker can run: for each model, the network rows of one step batch and its micro-batch.
  struct WorkerCapacity {
    std::string model;
    int capacity = 1;
    int micro_batch = 1;
  };

  static absl::StatusOr<std::unique_ptr<Engine>> Create(Options options);
  ~Engine();  // Shutdown() must have been called and all batches completed.

  // Queues a generation; never blocks. `listener` is taken only on OK.
  // INVALID_ARGUMENT: no trajectories, or more than max_trajectories. RESOURCE_EXHAUSTED: full now.
  // DEADLINE_EXCEEDED: already past. UNAVAILABLE: draining.
  absl::StatusOr<GenerationId> Submit(GenerationSpec spec,
                                      std::shared_ptr<GenerationListener> listener);

  // Ends a generation with `reason`; its rows leave at the next step. No effect once finished.
  void Cancel(GenerationId id, absl::Status reason);

  // Refuses new generations from now on and waits for the others until `deadline`, then ends those
  // with UNAVAILABLE. True if all finished by themselves.
  bool Drain(absl::Time deadline);

  // Makes every NextBatch return nullopt; what is left ends with UNAVAILABLE.
  void Shutdown();

  // Waits for work for a worker that serves these models. nullopt: shut down.
  std::optional<StepBatch> NextBatch(absl::Span<const WorkerCapacity> models);

  // Takes a batch back; `status` is what StepExecutor::Step returned.
  void Complete(StepBatch batch, absl::Status status);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_ENGINE_H_
