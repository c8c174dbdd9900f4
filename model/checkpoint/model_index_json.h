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
  std::string pipeline_class = "DDPMPipeline";    // Empty: none of diffusers' draws this model.
  std::string scheduler_class = "DDPMScheduler";  // Empty: the file does not say.
  std::vector<std::string> class_names;
  std::optional<int> null_class_id;  // As the file says; not derived from anything.
};

// INVALID_ARGUMENT if the pipeline is one that does more than run a UNet2DModel in pixel space with
// a scheduler, by its class or by a component beside these two, which is named; or if "id2label"
// does not name the classes 0, 1, 2, ... without a gap. A class that diffusers does not have, and a
// field that nobody knows, are a sentence in `warnings`.
absl::StatusOr<ModelIndex> ParseModelIndex(absl::string_view json,
                                           std::vector<std::string>* warnings);
absl::StatusOr<ModelIndex> ParseModelIndex(absl::string_view json);

// What diffusers writes for that pipeline, and the class names if there are any.
absl::StatusOr<std::string> FormatModelIndex(const ModelIndex& index);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_MODEL_INDEX_JSON_H_
