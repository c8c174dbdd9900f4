// Where workers get what they run.
#ifndef DIFFUSIOND_SERVER_WORKER_EXECUTOR_SOURCE_H_
#define DIFFUSIOND_SERVER_WORKER_EXECUTOR_SOURCE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/engine/step_executor.h"
#include "server/worker/device_spec.h"

namespace diffusiond {

// Executors by the engine's name of the model.
using StepExecutors = std::map<std::string, std::unique_ptr<StepExecutor>>;

// Thread-safe.
class ExecutorSource {
 public:
  virtual ~ExecutorSource() = default;

  // New executors of all models that are loaded, perhaps none. Not OK: this device cannot run them
  // now.
  virtual absl::StatusOr<StepExecutors> MakeExecutors(const DeviceSpec& device) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_EXECUTOR_SOURCE_H_
