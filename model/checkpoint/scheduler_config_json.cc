#include "model/checkpoint/scheduler_config_json.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/scheduler_fields.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

// Python writes infinities as bare words, which are no JSON: lambda_min_clipped is -Infinity, none,
// in most files of DPMSolverMultistepScheduler. It becomes null.
std::string WithoutInfinities(absl::string_view json) {
  std::string text;
  text.reserve(json.size());
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (in_string && json[i] == '\\' && i + 1 < json.size()) {
      text += json[i++];
    } else if (json[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && json[i] == '-') {
      absl::string_view rest = json.substr(i);
      if (absl::ConsumePrefix(&rest, "-Infinity")) {
        text += "null";
        i = json.size() - rest.size() - 1;
        continue;
      }
    }
    text += json[i];
  }
  return text;
}

// One name for four switches, of which diffusers allows one.
constexpr std::array<std::pair<const char*, const char*>, 4> kSigmaSwitches = {
    {{"use_karras_sigmas", "karras"},
     {"use_exponential_sigmas", "exponential"},
     {"use_lu_lambdas", "exponential"},
     {"use_beta_sigmas", "beta"}}};

void ReadSigmaSwitches(JsonFields& fields, SolverConfig* solver) {
  const char* chosen = nullptr;
  for (const auto& [field, name] : kSigmaSwitches) {
    bool is_on = false;
    fields.Read(field, &is_on);
    if (!is_on) continue;
    if (chosen != nullptr) {
      fields.Fault(field, absl::StrCat("false, as ", chosen, " is true"), Json(true));
    }
    solver->sigma_schedule = name;
    chosen = field;
  }
}

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
  fields.Read("interpolation_type", &solver->interpolation_type);
  fields.Read("timestep_type", &solver->timestep_type);
  fields.Read("disable_corrector", &solver->disable_corrector);
  ReadSigmaSwitches(fields, solver);
}

// diffusers' own function for this class and karras takes no notice of them.
void ReadSigmaEnds(JsonFields& fields, const std::string& class_name, SolverConfig* solver) {
  const bool own = class_name == "LMSDiscreteScheduler" || class_name == "DPMSolverSDEScheduler";
  if (own && solver->sigma_schedule == "karras") return;
  bool lu = false;
  fields.Read("use_lu_lambdas", &lu);
  if (lu) return;
  fields.Read("sigma_min", &solver->sigma_min);
  fields.Read("sigma_max", &solver->sigma_max);
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
  write("interpolation_type", solver.interpolation_type, defaults.interpolation_type);
  write("timestep_type", solver.timestep_type, defaults.timestep_type);
  write("disable_corrector", solver.disable_corrector, defaults.disable_corrector);
  if (solver.sigma_min) (*object)["sigma_min"] = *solver.sigma_min;
  if (solver.sigma_max) (*object)["sigma_max"] = *solver.sigma_max;
  for (const auto& [field, name] : kSigmaSwitches) {
    if (solver.sigma_schedule != name) continue;
    (*object)[field] = true;
    break;
  }
}

// Without what diffusers' class does not read; `warnings` and `fields` hear of the rest.
Json KnownFields(const Json& object, const std::string& class_name, JsonFields& fields,
                 std::vector<std::string>* warnings) {
  // Names that diffusers drops before it reads the others.
  std::vector<std::string> unset;
  fields.Read("_use_default_values", &unset);
  Json known = Json::object();
  for (const auto& [name, value] : object.items()) {
    if (name[0] == '_' || value.is_null() || absl::c_linear_search(unset, name)) continue;
    const SchedulerField* field = FindSchedulerField(name);
    if (field == nullptr) {
      warnings->push_back(absl::StrCat(kSchedulerConfigName, ": no scheduler knows the field ",
                                       Quoted(name), "; it changes nothing"));
    } else if (!ClassHasField(class_name, *field) || field->use == FieldUse::kNothing) {
      continue;
    } else if (field->use == FieldUse::kDefault) {
      // The defaults of all of them are false, or null.
      if (value != Json(false)) {
        fields.Fault(name, absl::StrCat("none, or false (", field->note, ")"), value);
      }
    } else {
      known[name] = value;
    }
  }
  return known;
}

// Of 2022, in place of prediction_type.
void ReadPredictEpsilon(JsonFields& fields, const Json& object, SchedulerConfig* config,
                        std::vector<std::string>* warnings) {
  bool predicts_epsilon = true;
  fields.Read("predict_epsilon", &predicts_epsilon);
  if (predicts_epsilon || object.contains("prediction_type")) return;
  config->prediction_type = "sample";
  warnings->push_back(absl::StrCat(
      kSchedulerConfigName,
      ": predict_epsilon is false: the network is taken to predict the image (prediction_type "
      "sample), though diffusers since 0.18 takes it to predict noise"));
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
  std::vector<std::string> unheard;
  return ParseSchedulerConfig(json, &unheard);
}

absl::StatusOr<SchedulerConfig> ParseSchedulerConfig(absl::string_view json,
                                                     std::vector<std::string>* warnings,
                                                     const std::string& index_class_name) {
  ASSIGN_OR_RETURN(Json object, ParseJsonObject(WithoutInfinities(json)));
  JsonFields whole(object);
  whole.NullIsAbsent();
  std::string class_name = SchedulerConfig().class_name;
  whole.Read("_class_name", &class_name);
  if (!index_class_name.empty() && !object.contains("_class_name")) class_name = index_class_name;
  if (!index_class_name.empty() && index_class_name != class_name) {
    warnings->push_back(absl::StrCat(kSchedulerConfigName, ": _class_name is ", Quoted(class_name),
                                     "; ", kModelIndexName, " says ", Quoted(index_class_name),
                                     ", which is taken, as in diffusers"));
    class_name = index_class_name;
  }
  SchedulerConfig config = SchedulerDefaults(class_name);
  const Json known = KnownFields(object, class_name, whole, warnings);
  JsonFields fields(known);
  fields.Read("num_train_timesteps", &config.num_train_timesteps);
  fields.Read("beta_start", &config.beta_start);
  fields.Read("beta_end", &config.beta_end);
  fields.Read("beta_schedule", &config.beta_schedule);
  fields.Read("trained_betas", &config.trained_betas);
  fields.Read("variance_type", &config.variance_type);
  fields.Read("clip_sample", &config.clip_sample);
  fields.Read("prediction_type", &config.prediction_type);
  ReadPredictEpsilon(fields, known, &config, warnings);
  fields.Read("thresholding", &config.thresholding);
  fields.Read("dynamic_thresholding_ratio", &config.dynamic_thresholding_ratio);
  fields.Read("clip_sample_range", &config.clip_sample_range);
  fields.Read("sample_max_value", &config.sample_max_value);
  fields.Read("timestep_spacing", &config.timestep_spacing);
  fields.Read("steps_offset", &config.steps_offset);
  fields.Read("rescale_betas_zero_snr", &config.rescale_betas_zero_snr);
  fields.Read("set_alpha_to_one", &config.set_alpha_to_one);
  ReadSolver(fields, &config.solver);
  if (config.is_edm()) {
    ReadEdm(fields, &config);
  } else {
    ReadSigmaEnds(fields, class_name, &config.solver);
  }
  std::string algorithm;
  if (class_name == "DEISMultistepScheduler") whole.Read("algorithm_type", &algorithm);
  if (absl::StartsWith(algorithm, "sde")) {
    whole.Fault("algorithm_type", "deis, which is no SDE", Json(algorithm));
  }
  absl::Status status = whole.status();
  status.Update(fields.status());
  if (!status.ok()) return status;
  RETURN_IF_ERROR(Validate(config));
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
  // Of the network, so that it is kept where the class does not know it; diffusers warns of unknown
  // fields, so only if it is not the default.
  const bool is_ddpm = ShortClassName(config.class_name) == "ddpm";
  if (is_ddpm || config.variance_type != defaults.variance_type) {
    object["variance_type"] = config.variance_type;
  }
  object["set_alpha_to_one"] = config.set_alpha_to_one;
  WriteSolver(config.solver, defaults.solver, &object);
  for (auto field = object.begin(); field != object.end();) {
    const SchedulerField* const known = FindSchedulerField(field.key());
    const bool kept = known == nullptr || ClassHasField(config.class_name, *known);
    field = kept ? std::next(field) : object.erase(field);
  }
  return FormatJson(object);
}

}  // namespace diffusiond
