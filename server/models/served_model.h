// What requests can know of a model: plain data, and how to compile its sampling plans.
#ifndef DIFFUSIOND_SERVER_MODELS_SERVED_MODEL_H_
#define DIFFUSIOND_SERVER_MODELS_SERVED_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/default_sampling.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/config/scheduler_config.h"
#include "model/sampling/sampler.h"
#include "server/models/plan_cache.h"

namespace diffusiond {

// What unset fields of a request mean. Fields of `sampling` that its sampler does not read stand
// for the other samplers.
struct ServedDefaults {
  SamplingOptions sampling;
  double guidance_scale = 1;  // Used when a class is asked for.
};

// Equal values give equal bytes for equal requests.
struct ServedNumerics {
  std::string libtorch_version;
  std::string device_kind;
  int micro_batch = 0;
  int network_numerics = 0;
};

// Immutable once it is in a catalog.
struct ServedModel {
  const std::string& engine_key() const { return key.empty() ? name : key; }

  std::string name;    // What requests call it.
  std::string key;     // Of this version of it in the engine; empty: the name.
  int version = 0;     // In the repository; 0: not numbered.
  std::string digest;  // SHA-256, lower-case hexadecimal.
  int width = 0;
  int height = 0;
  int channels = 0;
  // By class id; a class without a name is "". Empty: neither the network nor a classifier knows
  // any. Holds the null class only if it is not the last.
  std::vector<std::string> class_names;
  bool is_conditional = false;  // The network takes a class.
  bool has_classifier = false;  // Classifier guidance is possible.
  std::optional<int> null_class_id;
  uint64_t num_parameters = 0;
  SchedulerConfig scheduler;
  ServedDefaults defaults;
  std::vector<std::string> warnings;  // See v1::Model.
  std::vector<UnavailableSampler> unavailable_samplers;
  ServedNumerics numerics;
  std::shared_ptr<PlanCache> plans;
};

// Describes a checkpoint, whose files gave `warnings`. INVALID_ARGUMENT: as ResolveDefaultSampling;
// with the model's name.
absl::StatusOr<ServedModel> MakeServedModel(const std::string& name, const CheckpointConfig& config,
                                            const std::string& digest, uint64_t num_parameters,
                                            ServedNumerics numerics,
                                            std::vector<std::string> warnings = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_MODELS_SERVED_MODEL_H_
