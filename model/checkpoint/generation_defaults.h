// What an unset option of a request means for one model: generation_config.json in a checkpoint.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_GENERATION_DEFAULTS_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_GENERATION_DEFAULTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/config/option.h"
#include "model/sampling/sampling_options.h"

namespace diffusiond {

// In JSON one object: guidance_scale, and the options by their names.
struct GenerationDefaults {
  double guidance_scale = 1;  // 0 to kMaxDefaultGuidanceScale; 1: no guidance.
  // Of kSamplingOptions, by name; what is not here is the scheduler's. Always with "sampler", of
  // which it is not judged here whether there is one, and "steps"; never with "strength", which is
  // of an image to start from.
  std::map<std::string, OptionValue> options = {{"sampler", std::string("ddim")},
                                                {"steps", int64_t{50}}};

  const std::string& sampler() const { return std::get<std::string>(options.at("sampler")); }
  int64_t steps() const { return std::get<int64_t>(options.at("steps")); }
  // Puts them all into *sampling.
  void ApplyTo(SamplingOptions* sampling) const;

  friend bool operator==(const GenerationDefaults&, const GenerationDefaults&) = default;
};

inline constexpr double kMaxDefaultGuidanceScale = 50;

// OK if every option is one, of its kind and in range; else names it, its value and the range.
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
