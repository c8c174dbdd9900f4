// One device's thread: takes step batches from the engine, runs them, gives them back.
#ifndef DIFFUSIOND_SERVER_WORKER_DEVICE_WORKER_H_
#define DIFFUSIOND_SERVER_WORKER_DEVICE_WORKER_H_

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/engine.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

// Executors by model name.
using StepExecutors = std::map<std::string, std::unique_ptr<StepExecutor>>;

// Owns the thread and, for each model that the device serves, the executor. All calls of executors
// come from that thread. What Step throws ends here, as an INTERNAL status: the engine tries the
// rows again. Thread-compatible.
class DeviceWorker {
 public:
  // Starts the thread, named after `device`, for example "cuda:0". `engine` must outlive the
  // worker. INVALID_ARGUMENT: no executors, a null one, or one whose capacity is below 2 (it could
  // never run a guided trajectory), or no multiple of its micro-batch.
  static absl::StatusOr<std::unique_ptr<DeviceWorker>> Start(const std::string& device,
                                                             Engine* engine,
                                                             StepExecutors executors);
  ~DeviceWorker();  // Stops.

  // Lets the step that is running end, gives it back, and joins the thread. The engine goes on
  // without this worker. No effect the second time.
  void Stop();

 private:
  DeviceWorker(const std::string& device, Engine* engine, StepExecutors executors,
               std::vector<WorkerCapacity> capacities);
  void Run();

  Engine* const engine_;
  const StepExecutors executors_;
  const WorkerId id_;
  std::thread thread_;  // Last: it uses the others.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_DEVICE_WORKER_H_
