#include "model/checkpoint/scheduler_config_json.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/unet_config_json.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

// Python writes infinities as bare words, which are no JSON: lambda_min_clipped is -Infinity in
// most files of DPMSolverMultistepScheduler. They become null.
std::string WithoutInfinities(absl::string_view json) {
  std::string text;
  text.reserve(json.size());
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (in_string && json[i] == '\\' && i + 1 < json.size()) {
      text += json[i++];
    } else if (json[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && (json[i] == '-' || json[i] == 'I')) {
      absl::string_view rest = json.substr(i);
      if (absl::ConsumePrefix(&rest, "-Infinity") || absl::ConsumePrefix(&rest, "Infinity")) {
        text += "null";
        i = json.size() - rest.size() - 1;
        continue;
      }
    }
    text += json[i];
  }
  return text;
}

// One name for five switches, of which the peer allows one.
constexpr std::array<std::pair<const char*, const char*>, 5> kSigmaSwitches = {
    {{"use_karras_sigmas", "karras"},
     {"use_exponential_sigmas", "exponential"},
     {"use_lu_lambdas", "exponential"},
     {"use_beta_sigmas", "beta"},
     {"use_flow_sigmas", "flow"}}};

void ReadSolver(JsonFields& fields, SolverConfig* solver) {
  fields.Read("solver_order", &solver->solver_order);
  fields.Read("algorithm_type", &solver->algorithm_type);
  fields.Read("solver_type", &solver->solver_type);
  fields.Read("lower_order_final", &solver->lower_order_final);
  fields.Read("euler_at_final", &solver->euler_at_final);
  fields.Read("predict_x0", &solver->predict_x0);
  fields.Read("skip_prk_steps", &solver->skip_prk_steps);
  fields.Read("final_sigmas_type", &solver->final_sigmas_type);
  fields.Read("lambda_min_clipped", &solver->lambda_min_clipped);
  for (const auto& [field, name] : kSigmaSwitches) {
    bool is_on = false;
    fields.Read(field, &is_on);
    if (is_on) solver->sigma_schedule = name;
  }
}

// Only what is not the class's default: classes without the fields stay without.
void WriteSolver(const SolverConfig& solver, const SolverConfig& defaults, Json* object) {
  const auto write = [object](const char* field, const auto& value, const auto& by_default) {
    if (value != by_default) (*object)[field] = value;
  };
  write("solver_order", solver.solver_order, defaults.solver_order);
  write("algorithm_type", solver.algorithm_type, defaults.algorithm_type);
  write("solver_type", solver.solver_type, defaults.solver_type);
  write("lower_order_final", solver.lower_order_final, defaults.lower_order_final);
  write("euler_at_final", solver.euler_at_final, defaults.euler_at_final);
  write("predict_x0", solver.predict_x0, defaults.predict_x0);
  write("skip_prk_steps", solver.skip_prk_steps, defaults.skip_prk_steps);
  write("final_sigmas_type", solver.final_sigmas_type, defaults.final_sigmas_type);
  write("lambda_min_clipped", solver.lambda_min_clipped, defaults.lambda_min_clipped);
  for (const auto& [field, name] : kSigmaSwitches) {
    if (solver.sigma_schedule != name) continue;
    (*object)[field] = true;
    break;
  }
}

// The fields of this class alone: others have a sigma_min that means something else.
void ReadEdm(JsonFields& fields, SchedulerConfig* config) {
  fields.Read("sigma_min", &config->edm.sigma_min);
  fields.Read("sigma_max", &config->edm.sigma_max);
  fields.Read("sigma_data", &config->edm.sigma_data);
  fields.Read("rho", &config->edm.rho);
  fields.Read("sigma_schedule", &config->solver.sigma_schedule);
}

Json EdmObject(const SchedulerConfig& config) {
  return {{"_class_name", config.class_name},
          {"_diffusers_version", kDiffusersVersion},
          {"final_sigmas_type", config.solver.final_sigmas_type},
          {"num_train_timesteps", config.num_train_timesteps},
          {"prediction_type", config.prediction_type},
          {"rho", config.edm.rho},
          {"sigma_data", config.edm.sigma_data},
          {"sigma_max", config.edm.sigma_max},
          {"sigma_min", config.edm.sigma_min},
          {"sigma_schedule", config.solver.sigma_schedule}};
}

}  // namespace

absl::StatusOr<SchedulerConfig> ParseSchedulerConfig(absl::string_view json) {
  absl::StatusOr<Json> object = ParseJsonObject(WithoutInfinities(json));
  if (!object.ok()) return object.status();
  JsonFields fields(*object);
  fields.NullIsAbsent();
  std::string class_name = SchedulerConfig().class_name;
  fields.Read("_class_name", &class_name);
  SchedulerConfig config = SchedulerDefaults(class_name);
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
  ReadSolver(fields, &config.solver);
  if (config.is_edm()) ReadEdm(fields, &config);
  if (absl::Status status = fields.status(); !status.ok()) return status;
  if (absl::Status status = Validate(config); !status.ok()) return status;
  return config;
}

absl::StatusOr<std::string> FormatSchedulerConfig(const SchedulerConfig& config) {
  if (config.is_edm()) return FormatJson(EdmObject(config));
  const SchedulerConfig defaults = SchedulerDefaults(config.class_name);
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
  WriteSolver(config.solver, defaults.solver, &object);
  return FormatJson(object);
}

}  // namespace diffusiond
