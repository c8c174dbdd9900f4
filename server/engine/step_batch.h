// What passes between the engine and a worker.
#ifndef DIFFUSIOND_SERVER_ENGINE_STEP_BATCH_H_
#define DIFFUSIOND_SERVER_ENGINE_STEP_BATCH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

struct Trajectory;

using WorkerId = uint64_t;

// What a worker can run of one model. Capacity: network passes of one step batch, at least 2 (a
// guided trajectory takes two). Micro-batch: as StepExecutor's.
struct WorkerCapacity {
  std::string model;
  int capacity = 2;
  int micro_batch = 1;
};

// A worker's work for one step: whole trajectories of one model, of any requests and at any rows of
// any plans. Must be given back to Engine::Complete.
struct StepBatch {
  std::string model;
  std::vector<StepTask> tasks;  // What StepExecutor::Step takes.
  // The engine's own bookkeeping, one entry a task.
  std::vector<std::shared_ptr<Trajectory>> owners;
  uint64_t id = 0;
  WorkerId worker = 0;
  int capacity = 2;  // Of that worker.
  int micro_batch = 1;
  absl::Time started;
  bool waited = false;  // For work: the worker was not kept from any.
  // The worker's: since its last step's end, if it went straight on. What the engine cost.
  absl::Duration overhead;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_STEP_BATCH_H_
