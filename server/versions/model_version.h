// One version of one model, as it was loaded.
#ifndef DIFFUSIOND_SERVER_VERSIONS_MODEL_VERSION_H_
#define DIFFUSIOND_SERVER_VERSIONS_MODEL_VERSION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/config/unet_config.h"
#include "server/engine/step_executor.h"
#include "server/models/served_model.h"
#include "server/worker/device_spec.h"

namespace diffusiond {

// Immutable, and shared by all who have to do with it: whoever holds it holds its weights.
struct ModelVersion {
  const std::string& name() const { return served.name; }
  int number() const { return served.version; }  // In the repository; 0: not numbered.
  const std::string& digest() const { return served.digest; }
  int micro_batch() const { return served.numerics.micro_batch; }
  // What the engine calls it.
  const std::string& key() const { return served.engine_key(); }

  ServedModel served;  // What requests can know of it.
  int copy = 0;        // How often this number of this model was loaded before.
  std::string stamp;   // CheckpointStamp when it was loaded.
  UNetConfig network;
  // As LoadedModel has it.
  std::function<absl::StatusOr<std::unique_ptr<StepExecutor>>(const DeviceSpec&)> make_executor;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_MODEL_VERSION_H_
