// model_index.json: which pipeline a checkpoint belongs to, and what its classes are called.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_MODEL_INDEX_JSON_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_MODEL_INDEX_JSON_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

struct ModelIndex {
  std::string scheduler_class = "DDPMScheduler";
  std::vector<std::string> class_names;
  std::optional<int> null_class_id;  // As the file says; not derived from anything.
};

// INVALID_ARGUMENT if the pipeline's network is not a UNet2DModel, or "id2label" does not name the
// classes 0, 1, 2, ... without a gap. The scheduler's class is not read: scheduler_config.json is
// what counts.
absl::StatusOr<ModelIndex> ParseModelIndex(absl::string_view json);

// What diffusers writes for a DDPMPipeline, and the class names if there are any.
absl::StatusOr<std::string> FormatModelIndex(const ModelIndex& index);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_MODEL_INDEX_JSON_H_
