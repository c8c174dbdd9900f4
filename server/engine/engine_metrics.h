// What the engine counts.
#ifndef DIFFUSIOND_SERVER_ENGINE_ENGINE_METRICS_H_
#define DIFFUSIOND_SERVER_ENGINE_ENGINE_METRICS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Implemented over prometheus-cpp in server/metrics. Calls come from any thread, also at the same
// time; they must not block and must not call the engine.
class EngineMetrics {
 public:
  // A generation's first step begins.
  struct FirstStep {
    Priority priority = Priority::kNormal;
    absl::Duration queue_wait = {};  // Since Submit.
    int64_t delay_steps = 0;  // Step batches of the model that began since Submit, without this.
  };
  struct GenerationEnd {
    absl::Status status;
    bool had_deadline = false;
    absl::Duration duration = {};                  // Since Submit.
    std::optional<absl::Duration> predicted = {};  // By Submit.
  };
  // A step batch is done.
  struct Step {
    std::string model;
    int passes = 0;  // Without the padding that fills the last network call.
    // Rows of a network call: there were ceil(passes / micro_batch). 0: there was one, of all.
    int micro_batch = 1;
    int capacity = 1;  // Network passes that the worker carries.
    absl::Duration duration = {};
    absl::Duration overhead = {};  // Since the worker's last step, if it did not wait for work.
  };

  struct QueueDepth {
    int waiting = 0;         // Trajectories that have not begun.
    int resident = 0;        // Those that have, and hold device memory or may.
    int resident_limit = 0;  // Of the model that may have the fewest.

    bool operator==(const QueueDepth&) const = default;
  };

  virtual ~EngineMetrics() = default;
  virtual void OnQueueDepth(const QueueDepth& /*depth*/) {}
  // Submit refused with this status.
  virtual void OnRefused(const absl::Status& /*status*/) {}
  virtual void OnFirstStep(const FirstStep& /*first_step*/) {}
  virtual void OnStep(const Step& /*step*/) {}
  // A step batch came back undone, or its worker was abandoned; it is tried again.
  virtual void OnDeviceFailure(const std::string& /*model*/) {}
  // A trajectory of a generation that ended early is gone, after so many step batches of its model:
  // 0 if it was waiting, 1 if it was in the one that ran.
  virtual void OnReleased(int64_t /*delay_steps*/) {}
  // Trajectories that had to let other work go first after they had begun, and trajectories that
  // went on on another worker than before.
  virtual void OnPreemptions(int /*count*/) {}
  virtual void OnMigrations(int /*count*/) {}
  virtual void OnGenerationFinished(const GenerationEnd& /*end*/) {}
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_ENGINE_METRICS_H_
