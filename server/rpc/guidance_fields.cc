#include "server/rpc/guidance_fields.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/option_fields.h"

namespace diffusiond {
namespace {

// Prefixed as the path of the field in the request.
std::string PathOf(absl::string_view option) { return absl::StrCat("sampling.", option); }

// What is set, without what is out of range, which is noted. `max_scale` is the server's own limit.
v1::SamplingOptions Sound(const v1::SamplingOptions& asked, double max_scale,
                          FieldViolations* violations) {
  v1::SamplingOptions sound;
  for (const Option<Guidance>& option : kGuidanceOptions) {
    const std::optional<OptionValue> value = ReadOption(asked, option);
    if (!value.has_value()) continue;
    OptionSpec spec = option;
    if (spec.range.high == kMaxGuidanceScale) spec.range.high = max_scale;
    const std::string fault = FaultOf(spec, *value);
    if (fault.empty()) {
      WriteOption(option, *value, &sound);
    } else {
      violations->Add(PathOf(option.name), fault);
    }
  }
  return sound;
}

// Why classifier-free guidance cannot be; empty: it can.
std::string ScaleNeeds(bool asks_for_class, const ServedModel& model) {
  if (!model.null_class_id.has_value()) return "a model with a null class; without, only 1";
  return asks_for_class ? "" : "class_id or class_name; without, only 1";
}

std::string ClassifierNeeds(bool asks_for_class, const ServedModel& model) {
  if (!model.has_classifier) return "a model with a classifier; without, only 0";
  return asks_for_class ? "" : "class_id or class_name; without, only 0";
}

}  // namespace

Guidance ReadGuidance(const v1::SamplingOptions& all, bool asks_for_class, const ServedModel& model,
                      double max_scale, FieldViolations* violations) {
  const v1::SamplingOptions asked = Sound(all, max_scale, violations);
  Guidance guidance;
  for (const Option<Guidance>& option : kGuidanceOptions) {
    if (const auto value = ReadOption(asked, option)) option.set(*value, &guidance);
  }
  if (!all.has_guidance_scale() && asks_for_class && model.null_class_id.has_value()) {
    guidance.scale = std::get<double>(AsCarried(model.defaults.guidance_scale));
  }
  // Without a class in the network, the classifier is what a class is asked of.
  const bool only_way = asks_for_class && model.has_classifier && !model.is_conditional;
  if (!all.has_classifier_scale()) guidance.classifier_scale = only_way ? 1 : 0;

  const auto needs = [&](const char* option, double value, const std::string& what) {
    if (!what.empty()) violations->Add(PathOf(option), absl::StrCat(value, " needs ", what));
  };
  if (guidance.scale != 1)
    needs("guidance_scale", guidance.scale, ScaleNeeds(asks_for_class, model));
  if (guidance.classifier_scale != 0) {
    needs("classifier_scale", guidance.classifier_scale, ClassifierNeeds(asks_for_class, model));
  } else if (only_way && asked.has_classifier_scale()) {
    violations->Add(PathOf("classifier_scale"),
                    "0 leaves the class without effect: the network takes none, only the"
                    " classifier does");
  }

  const bool mixes = guidance.scale != 1;
  const bool guides = mixes || guidance.classifier_scale != 0;
  const auto acts = [&](const char* option, bool is_set, double value, bool has_effect) {
    if (!is_set || has_effect) return;
    violations->Add(PathOf(option),
                    absl::StrCat(value, " has no effect without guidance: guidance_scale is 1"));
  };
  acts("guidance_sigma_min", asked.has_guidance_sigma_min(), guidance.sigma_min, guides);
  acts("guidance_sigma_max", asked.has_guidance_sigma_max(), guidance.sigma_max, guides);
  acts("guidance_rescale", asked.has_guidance_rescale(), guidance.rescale, mixes);
  if (guidance.sigma_min > guidance.sigma_max) {
    violations->Add(PathOf("guidance_sigma_max"),
                    absl::StrCat(guidance.sigma_max, " is below guidance_sigma_min, which is ",
                                 guidance.sigma_min));
  }
  return guidance;
}

void WriteGuidance(const Guidance& guidance, v1::SamplingOptions* message) {
  const Guidance none;
  for (const Option<Guidance>& option : kGuidanceOptions) {
    const OptionValue value = option.get(guidance);
    if (option.name == "guidance_scale" || value != option.get(none)) {
      WriteOption(option, value, message);
    }
  }
}

}  // namespace diffusiond
