// Training's progress for Prometheus.
#ifndef DIFFUSIOND_MODEL_TRAINING_METRICS_TRAINING_METRICS_H_
#define DIFFUSIOND_MODEL_TRAINING_METRICS_TRAINING_METRICS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/training/progress/progress.h"

namespace diffusiond {

// Serves http://*:port/metrics, on threads of its own, for as long as the sink lives: instruments
// named diffusion_train_*, set at each point. UNAVAILABLE: the port cannot be bound. UNIMPLEMENTED:
// built without prometheus-cpp (DIFFUSIOND_BUILD_SERVER=OFF).
absl::StatusOr<std::unique_ptr<ProgressSink>> ServeTrainingMetrics(int port);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_METRICS_TRAINING_METRICS_H_
