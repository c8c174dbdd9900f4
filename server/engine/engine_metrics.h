// What the engine counts.
#ifndef DIFFUSIOND_SERVER_ENGINE_ENGINE_METRICS_H_
#define DIFFUSIOND_SERVER_ENGINE_ENGINE_METRICS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace diffusiond {

// Implemented over prometheus-cpp in server/metrics. Calls come from any thread, also at the same
// time; they must not block and must not call the engine.
class EngineMetrics {
 public:
  virtual ~EngineMetrics() = default;
  // Trajectories that have not begun, and those that have (and may hold device memory).
  virtual void OnQueueDepth(int /*waiting_trajectories*/, int /*resident_trajectories*/) {}
  // Submit refused with this status.
  virtual void OnRefused(const absl::Status& /*status*/) {}
  // A generation's first step begins, `queue_wait` after Submit.
  virtual void OnFirstStep(absl::Duration /*queue_wait*/) {}
  // One step batch: network rows carried, without the padding that fills the last of
  // ceil(network_rows / micro_batch) network calls.
  virtual void OnStepBatch(const std::string& /*model*/, int /*network_rows*/, int /*micro_batch*/,
                           absl::Duration /*duration*/) {}
  // A step batch came back undone, to be tried again.
  virtual void OnDeviceFailure(const std::string& /*model*/) {}
  virtual void OnGenerationFinished(const absl::Status& /*status*/) {}
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_ENGINE_METRICS_H_
