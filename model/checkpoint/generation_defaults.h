// What an unset field of a request means for one model: generation_config.json in a checkpoint.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_GENERATION_DEFAULTS_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_GENERATION_DEFAULTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// The JSON fields bear the same names, but for num_inference_steps and variance_type.
struct GenerationDefaults {
  std::string sampler = "ddim";  // Lower case; whether there is such a sampler is not judged here.
  int steps = 50;                // At least 1.
  double eta = 0;                // 0 to 1.
  double guidance_scale = 1;     // 0 to kMaxDefaultGuidanceScale; 1: no guidance.
  std::string variance;          // "fixed_small", "fixed_large", "zero"; empty: the scheduler's.
  std::string timestep_spacing;  // "leading", "trailing", "linspace"; empty: the scheduler's.

  friend bool operator==(const GenerationDefaults&, const GenerationDefaults&) = default;
};

inline constexpr int kMaxDefaultSteps = 100000;
inline constexpr double kMaxDefaultGuidanceScale = 50;

// OK if every field is in range; else names the field, its value and the range.
absl::Status Validate(const GenerationDefaults& defaults);

// Absent and null fields keep the values above, unknown ones are ignored. The result passes
// Validate.
absl::StatusOr<GenerationDefaults> ParseGenerationDefaults(absl::string_view json);
// The same; `warnings` gets a sentence for each field that is none of these.
absl::StatusOr<GenerationDefaults> ParseGenerationDefaults(absl::string_view json,
                                                           std::vector<std::string>* warnings);

// ParseGenerationDefaults gives `defaults` back.
absl::StatusOr<std::string> FormatGenerationDefaults(const GenerationDefaults& defaults);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_GENERATION_DEFAULTS_H_
