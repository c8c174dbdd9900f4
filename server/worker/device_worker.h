// One device's thread: takes step batches from the engine, runs them, gives them back.
#ifndef DIFFUSIOND_SERVER_WORKER_DEVICE_WORKER_H_
#define DIFFUSIOND_SERVER_WORKER_DEVICE_WORKER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/engine/engine.h"
#include "server/engine/step_executor.h"
#include "server/worker/executor_source.h"

namespace diffusiond {

// Owns the thread and, for each model that the device serves, the executor. All calls of executors
// come from that thread. The first step that fails ends it: what Step throws becomes INTERNAL, or
// RESOURCE_EXHAUSTED for std::bad_alloc; the tasks go back to the engine. Thread-compatible.
class DeviceWorker {
 public:
  struct Options {
    // Called once, from the worker's thread as its last act, when a step failed.
    std::function<void(const absl::Status&)> on_failure = nullptr;
    std::function<absl::Time()> now = absl::Now;
  };

  // Starts the thread, named after `device`, for example "cuda:0". `engine` must outlive the
  // worker. Without executors it waits for AddModel. INVALID_ARGUMENT: a null executor, or one
  // whose capacity is below 2 (it could never run a guided trajectory), or no multiple of its
  // micro-batch.
  static absl::StatusOr<std::unique_ptr<DeviceWorker>> Start(const std::string& device,
                                                             Engine* engine,
                                                             StepExecutors executors,
                                                             Options options);
  ~DeviceWorker();  // Stops.

  // Gives the worker one more model to run, from its next step on; one that it has stays as it is.
  // INVALID_ARGUMENT: as Start.
  absl::Status AddModel(const std::string& model, std::unique_ptr<StepExecutor> executor);

  // Takes a model away that was removed from the engine. Its executor goes at once, or at the end
  // of the step that is running.
  void RemoveModel(const std::string& model);

  // Lets the step that is running end, gives it back, and joins the thread. The engine goes on
  // without this worker. No effect the second time.
  void Stop();

  // When the step that is running began; nothing: none is.
  std::optional<absl::Time> step_began() const;

  // Waits until no step is running, for so long in real time. False: one still is.
  bool AwaitStepEnd(absl::Duration limit) const;

  // Gives up a worker whose step does not end. The engine takes its trajectories away, and the
  // thread is left to itself: should the step end after all, the thread ends and what it made is
  // dropped. False: the step has just ended.
  bool Abandon(const absl::Status& reason);

 private:
  struct State;

  explicit DeviceWorker(std::shared_ptr<State> state);
  static void Run(State& state);

  const std::shared_ptr<State> state_;  // Shared with the thread, which may outlive this.
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_DEVICE_WORKER_H_
