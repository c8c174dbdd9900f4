#include "model/checkpoint/generation_defaults.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/json_fields.h"
#include "model/files/file_status.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

constexpr std::array<absl::string_view, 4> kVariances = {"", "fixed_small", "fixed_large", "zero"};
constexpr std::array<absl::string_view, 4> kSpacings = {"", "leading", "trailing", "linspace"};

template <size_t N>
absl::Status CheckOneOf(const char* field, const std::string& value,
                        const std::array<absl::string_view, N>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", Quoted(value),
                   ", allowed: ", absl::StrJoin(allowed.begin() + 1, allowed.end(), ", ")));
}

absl::Status CheckRange(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();  // Not so for NaN.
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, ", allowed: ", low, " to ", high));
}

}  // namespace

absl::Status Validate(const GenerationDefaults& defaults) {
  if (defaults.sampler.empty()) return absl::InvalidArgumentError("sampler is empty");
  absl::Status status = CheckRange("num_inference_steps", defaults.steps, 1, kMaxDefaultSteps);
  status.Update(CheckRange("eta", defaults.eta, 0, 1));
  status.Update(CheckRange("guidance_scale", defaults.guidance_scale, 0, kMaxDefaultGuidanceScale));
  status.Update(CheckOneOf("variance_type", defaults.variance, kVariances));
  status.Update(CheckOneOf("timestep_spacing", defaults.timestep_spacing, kSpacings));
  return status;
}

absl::StatusOr<GenerationDefaults> ParseGenerationDefaults(absl::string_view json) {
  std::vector<std::string> unheard;
  return ParseGenerationDefaults(json, &unheard);
}

absl::StatusOr<GenerationDefaults> ParseGenerationDefaults(absl::string_view json,
                                                           std::vector<std::string>* warnings) {
  absl::StatusOr<Json> object = ParseJsonObject(json);
  if (!object.ok()) return object.status();
  JsonFields fields(*object);
  fields.NullIsAbsent();
  GenerationDefaults defaults;
  fields.Read("sampler", &defaults.sampler);
  fields.Read("num_inference_steps", &defaults.steps);
  fields.Read("eta", &defaults.eta);
  fields.Read("guidance_scale", &defaults.guidance_scale);
  fields.Read("variance_type", &defaults.variance);
  fields.Read("timestep_spacing", &defaults.timestep_spacing);
  constexpr std::array<absl::string_view, 6> kKnown = {"sampler",       "num_inference_steps",
                                                       "eta",           "guidance_scale",
                                                       "variance_type", "timestep_spacing"};
  for (const auto& [name, value] : object->items()) {
    if (name[0] == '_' || value.is_null()) continue;
    if (std::find(kKnown.begin(), kKnown.end(), name) != kKnown.end()) continue;
    warnings->push_back(absl::StrCat(kGenerationConfigName, ": the field ", Quoted(name),
                                     " is not known here and changes nothing"));
  }
  if (absl::Status status = fields.status(); !status.ok()) return status;
  if (absl::Status status = Validate(defaults); !status.ok()) return status;
  return defaults;
}

absl::StatusOr<std::string> FormatGenerationDefaults(const GenerationDefaults& defaults) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return FormatJson(Json{
      {"sampler", defaults.sampler},
      {"num_inference_steps", defaults.steps},
      {"eta", defaults.eta},
      {"guidance_scale", defaults.guidance_scale},
      {"variance_type", or_null(defaults.variance)},
      {"timestep_spacing", or_null(defaults.timestep_spacing)},
  });
}

}  // namespace diffusiond
