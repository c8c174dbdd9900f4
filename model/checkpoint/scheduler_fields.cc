#include "model/checkpoint/scheduler_fields.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_split.h"

namespace diffusiond {
namespace {

constexpr std::pair<const char*, const char*> kShortNames[] = {
    {"DDPMScheduler", "ddpm"},
    {"DDPMParallelScheduler", "ddpm"},
    {"DDIMScheduler", "ddim"},
    {"DDIMParallelScheduler", "ddim"},
    {"DDIMInverseScheduler", "ddim_inverse"},
    {"PNDMScheduler", "pndm"},
    {"DPMSolverMultistepScheduler", "dpm"},
    {"DPMSolverSinglestepScheduler", "dpm_single"},
    {"DPMSolverSDEScheduler", "dpm_sde"},
    {"DEISMultistepScheduler", "deis"},
    {"UniPCMultistepScheduler", "unipc"},
    {"SASolverScheduler", "sa"},
    {"EulerDiscreteScheduler", "euler"},
    {"EulerAncestralDiscreteScheduler", "euler_a"},
    {"HeunDiscreteScheduler", "heun"},
    {"LMSDiscreteScheduler", "lms"},
    {"KDPM2DiscreteScheduler", "kdpm2"},
    {"KDPM2AncestralDiscreteScheduler", "kdpm2_a"},
    {"EDMEulerScheduler", "edm"},
};

constexpr char kBetas[] =
    "ddpm ddim ddim_inverse pndm dpm dpm_single dpm_sde deis unipc sa euler euler_a heun lms kdpm2 "
    "kdpm2_a";
constexpr char kSpaced[] =
    "ddpm ddim ddim_inverse pndm dpm dpm_sde deis unipc sa euler euler_a heun lms kdpm2 kdpm2_a";
constexpr char kSolvers[] = "dpm dpm_single deis unipc";
constexpr char kThresholds[] = "ddpm ddim dpm dpm_single deis unipc sa";
constexpr char kSigmaCurves[] = "dpm dpm_single dpm_sde deis unipc sa euler heun lms kdpm2 kdpm2_a";

}  // namespace

std::span<const SchedulerField> SchedulerFields() {
  using enum FieldUse;
  static const SchedulerField kFields[] = {
      {"num_train_timesteps", "*", kRead, ""},
      {"prediction_type", "*", kRead, "flow_prediction is refused; \"score\" is ours"},
      {"variance_type", kBetas, kRead,
       "says what the network gives, so it is read also where the class has no such field"},
      {"beta_start", kBetas, kRead, ""},
      {"beta_end", kBetas, kRead, ""},
      {"beta_schedule", kBetas, kRead, ""},
      {"trained_betas", kBetas, kRead, "in double precision"},
      {"predict_epsilon", kBetas, kRead,
       "of 2022; false is prediction_type sample, with a warning: today's diffusers ignores it"},
      {"clip_sample", "ddpm ddim ddim_inverse heun", kRead, ""},
      {"clip_sample_range", "ddpm ddim ddim_inverse heun", kRead, ""},
      {"thresholding", kThresholds, kRead, ""},
      {"dynamic_thresholding_ratio", kThresholds, kRead, ""},
      {"sample_max_value", kThresholds, kRead, ""},
      {"timestep_spacing", kSpaced, kRead, ""},
      {"steps_offset", kSpaced, kRead, ""},
      {"rescale_betas_zero_snr", "ddpm ddim ddim_inverse dpm unipc euler euler_a", kRead, ""},
      {"set_alpha_to_one", "ddim ddim_inverse pndm", kRead, ""},
      {"skip_prk_steps", "pndm", kRead, ""},
      {"solver_order", kSolvers, kRead, ""},
      {"solver_type", "dpm dpm_single unipc", kRead,
       "of deis diffusers has logrho alone, whatever the file says"},
      {"algorithm_type", "dpm dpm_single", kRead,
       "dpmsolver and sde-dpmsolver are drawn with their ++ forms, with a warning; sde is refused "
       "in a file of deis, as in diffusers"},
      {"lower_order_final", "dpm dpm_single deis unipc sa", kRead, ""},
      {"euler_at_final", "dpm", kRead, ""},
      {"final_sigmas_type", "dpm dpm_single unipc euler edm", kRead, ""},
      {"lambda_min_clipped", "dpm dpm_single sa", kRead, ""},
      {"predict_x0", "unipc", kRead, ""},
      {"disable_corrector", "unipc", kRead, ""},
      {"solver_p", "unipc", kDefault, "another scheduler as predictor, which JSON cannot hold"},
      {"use_karras_sigmas", kSigmaCurves, kRead, ""},
      {"use_exponential_sigmas", kSigmaCurves, kRead, ""},
      {"use_beta_sigmas", kSigmaCurves, kRead, ""},
      {"use_lu_lambdas", "dpm", kRead,
       "as use_exponential_sigmas, both are even in log(sigma), but without sigma_min and "
       "sigma_max"},
      {"use_flow_sigmas", "dpm dpm_single deis unipc sa", kDefault,
       "for networks trained by flow matching"},
      {"flow_shift", "dpm dpm_single deis unipc sa", kNothing, "acts with use_flow_sigmas alone"},
      {"use_dynamic_shifting", kSolvers, kNothing, "acts with use_flow_sigmas alone"},
      {"time_shift_type", kSolvers, kNothing, "acts with use_flow_sigmas alone"},
      {"sigma_min", "dpm dpm_single dpm_sde deis unipc sa euler heun lms kdpm2 kdpm2_a edm", kRead,
       "with use_karras_sigmas and the like, though most classes have no such argument"},
      {"sigma_max", "dpm dpm_single dpm_sde deis unipc sa euler heun lms kdpm2 kdpm2_a edm", kRead,
       "the same"},
      {"interpolation_type", "euler", kRead, "log_linear: see the warning of its models"},
      {"timestep_type", "euler", kRead, ""},
      {"sigma_data", "edm", kRead, ""},
      {"rho", "edm", kRead, ""},
      {"sigma_schedule", "edm", kRead, ""},
      {"noise_sampler_seed", "dpm_sde", kNothing, "noise depends on the request's seed"},
      {"predictor_order", "sa", kNothing, "the class is drawn with dpmpp, with a warning"},
      {"corrector_order", "sa", kNothing, "the same"},
      {"tau_func", "sa", kNothing, "the same"},
      {"tensor_format", "*", kNothing, "of 2022"},
      {"timestep_values", "*", kNothing, "of 2022"},
  };
  return kFields;
}

const SchedulerField* FindSchedulerField(absl::string_view name) {
  for (const SchedulerField& field : SchedulerFields()) {
    if (name == field.name) return &field;
  }
  return nullptr;
}

std::string ShortClassName(absl::string_view class_name) {
  for (const auto& [name, short_name] : kShortNames) {
    if (class_name == name) return short_name;
  }
  return "";
}

bool ClassHasField(absl::string_view class_name, const SchedulerField& field) {
  const absl::string_view classes = field.classes;
  return classes == "*" ||
         absl::c_linear_search(std::vector<std::string>(absl::StrSplit(classes, ' ')),
                               ShortClassName(class_name));
}

}  // namespace diffusiond
