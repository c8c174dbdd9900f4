#include "model/checkpoint/scheduler_config_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"

#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/unet_config_json.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

}  // namespace

absl::StatusOr<SchedulerConfig> ParseSchedulerConfig(absl::string_view json) {
  absl::StatusOr<Json> object = ParseJsonObject(json);
  if (!object.ok()) return object.status();
  JsonFields fields(*object);
  fields.NullIsAbsent();
  SchedulerConfig config;
  fields.Read("_class_name", &config.class_name);
  fields.Read("num_train_timesteps", &config.num_train_timesteps);
  fields.Read("beta_start", &config.beta_start);
  fields.Read("beta_end", &config.beta_end);
  fields.Read("beta_schedule", &config.beta_schedule);
  fields.Read("trained_betas", &config.trained_betas);
  fields.Read("variance_type", &config.variance_type);
  fields.Read("clip_sample", &config.clip_sample);
  fields.Read("prediction_type", &config.prediction_type);
  fields.Read("thresholding", &config.thresholding);
  fields.Read("dynamic_thresholding_ratio", &config.dynamic_thresholding_ratio);
  fields.Read("clip_sample_range", &config.clip_sample_range);
  fields.Read("sample_max_value", &config.sample_max_value);
  fields.Read("timestep_spacing", &config.timestep_spacing);
  fields.Read("steps_offset", &config.steps_offset);
  fields.Read("rescale_betas_zero_snr", &config.rescale_betas_zero_snr);
  fields.Read("set_alpha_to_one", &config.set_alpha_to_one);
  if (absl::Status status = fields.status(); !status.ok()) return status;
  if (absl::Status status = Validate(config); !status.ok()) return status;
  return config;
}

absl::StatusOr<std::string> FormatSchedulerConfig(const SchedulerConfig& config) {
  const SchedulerConfig defaults;
  Json object = {
      {"_class_name", config.class_name},
      {"_diffusers_version", kDiffusersVersion},
      {"beta_end", config.beta_end},
      {"beta_schedule", config.beta_schedule},
      {"beta_start", config.beta_start},
      {"clip_sample", config.clip_sample},
      {"clip_sample_range", config.clip_sample_range},
      {"dynamic_thresholding_ratio", config.dynamic_thresholding_ratio},
      {"num_train_timesteps", config.num_train_timesteps},
      {"prediction_type", config.prediction_type},
      {"rescale_betas_zero_snr", config.rescale_betas_zero_snr},
      {"sample_max_value", config.sample_max_value},
      {"steps_offset", config.steps_offset},
      {"thresholding", config.thresholding},
      {"timestep_spacing", config.timestep_spacing},
      {"trained_betas", config.trained_betas.empty() ? Json(nullptr) : Json(config.trained_betas)},
  };
  // Each of the two classes has one field that the other does not know; diffusers warns of unknown
  // fields, so they are written there only to keep a value that is not the default.
  const bool is_ddim = config.class_name == "DDIMScheduler";
  if (!is_ddim || config.variance_type != defaults.variance_type) {
    object["variance_type"] = config.variance_type;
  }
  if (is_ddim || config.set_alpha_to_one != defaults.set_alpha_to_one) {
    object["set_alpha_to_one"] = config.set_alpha_to_one;
  }
  return FormatJson(object);
}

}  // namespace diffusiond
