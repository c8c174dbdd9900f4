#include "model/training/options/objective_options.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

// What a learned schedule does not go with.
absl::Status ValidateLearnedSchedule(const ObjectiveOptions& options,
                                     const SchedulerConfig& scheduler) {
  const auto refuse = [](absl::string_view flag, absl::string_view value, absl::string_view least) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " is ", value, "; with --learn_schedule it must be ", least));
  };
  if (options.weight.kind != LossWeight::kVdm)
    return refuse("loss_weight", WordOf(options.weight.kind), "vdm");
  if (options.timestep_sampling == TimestepSampling::kImportance) {
    return refuse("timestep_sampling", "importance", "uniform or stratified");
  }
  if (scheduler.learns_variance()) {
    return refuse("variance_type", scheduler.variance_type, "fixed_small or fixed_large");
  }
  if (scheduler.rescale_betas_zero_snr) return refuse("rescale_betas_zero_snr", "true", "false");
  return absl::OkStatus();
}

// What training by EDM's objective does not go with.
absl::Status ValidateEdm(const ObjectiveOptions& options, const SchedulerConfig& scheduler) {
  const auto refuse = [](absl::string_view flag, absl::string_view value, absl::string_view least) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " is ", value, "; with --edm it must be ", least));
  };
  if (options.weight.kind != LossWeight::kUnit)
    return refuse("loss_weight", WordOf(options.weight.kind), "unit");
  if (options.timestep_sampling == TimestepSampling::kImportance) {
    return refuse("timestep_sampling", "importance", "uniform or stratified");
  }
  if (options.learn_schedule) return refuse("learn_schedule", "true", "false");
  if (scheduler.learns_variance()) {
    return refuse("variance_type", scheduler.variance_type, "fixed_small or fixed_large");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const ObjectiveOptions& options, const SchedulerConfig& scheduler) {
  absl::Status status = Validate(options.weight);
  if (scheduler.is_edm()) status.Update(ValidateEdm(options, scheduler));
  const std::string& prediction = scheduler.prediction_type;
  if (scheduler.rescale_betas_zero_snr && (prediction == "epsilon" || prediction == "score")) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        "--rescale_betas_zero_snr is given; with --prediction_type=", prediction,
        " it must not be, as noise says nothing of an image of which nothing is left")));
  }
  if (scheduler.variance_type == "learned") {
    status.Update(
        absl::InvalidArgumentError("--variance_type is learned, by which diffusers means the "
                                   "variance itself, which no network "
                                   "gives well; train learned_range"));
  }
  if (!(options.vlb_weight >= 0 && options.vlb_weight <= 1)) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("--vlb_weight is ", options.vlb_weight, "; it must be 0 .. 1")));
  }
  constexpr double kMost = 20;
  if (!(std::abs(options.edm_mean) <= kMost)) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("--edm_mean is ", options.edm_mean, "; it must be -20 .. 20")));
  }
  if (!(options.edm_deviation > 0 && options.edm_deviation <= kMost)) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        "--edm_deviation is ", options.edm_deviation, "; it must be above 0, up to 20")));
  }
  if (options.learn_schedule) status.Update(ValidateLearnedSchedule(options, scheduler));
  return status;
}

std::string Describe(const ObjectiveOptions& options) {
  if (options == ObjectiveOptions()) return "";
  return absl::StrCat(" weight ", WordOf(options.weight.kind), " gamma ",
                      options.weight.min_snr_gamma, " timesteps ",
                      WordOf(options.timestep_sampling), " vlb ", options.vlb_weight,
                      " learn_schedule ", options.learn_schedule, " edm ", options.edm_mean, " ",
                      options.edm_deviation);
}

}  // namespace diffusiond
