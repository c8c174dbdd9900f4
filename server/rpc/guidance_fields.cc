#include "server/rpc/guidance_fields.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

double AsFloat(double value) { return static_cast<double>(static_cast<float>(value)); }

double ReadScale(const v1::GenerateRequest& request, const ServedModel& model,
                 double max_guidance_scale, FieldViolations* violations) {
  const bool asks_for_class = request.class_case() != v1::GenerateRequest::CLASS_NOT_SET;
  const bool has_null_class = model.null_class_id.has_value();
  if (!request.has_guidance_scale()) {
    return asks_for_class && has_null_class ? AsFloat(model.defaults.guidance_scale) : 1;
  }
  const float scale = request.guidance_scale();
  // Written so that NaN fails.
  if (!(scale >= 0 && scale <= max_guidance_scale)) {
    violations->Add("guidance_scale", absl::StrCat(scale, " is not in 0 .. ", max_guidance_scale));
  } else if (scale != 1 && !has_null_class) {
    violations->Add("guidance_scale",
                    absl::StrCat(scale, " needs a model with a null class; without, only 1"));
  } else if (scale != 1 && !asks_for_class) {
    violations->Add("guidance_scale",
                    absl::StrCat(scale, " needs class_id or class_name; without, only 1"));
  }
  return scale;
}

// Without a class in the network, the classifier is what a class is asked of.
double ReadClassifierScale(const v1::GenerateRequest& request, const ServedModel& model,
                           double max_guidance_scale, FieldViolations* violations) {
  const bool asks_for_class = request.class_case() != v1::GenerateRequest::CLASS_NOT_SET;
  const bool only_way = asks_for_class && model.has_classifier && !model.is_conditional;
  if (!request.has_classifier_scale()) return only_way ? 1 : 0;
  const float scale = request.classifier_scale();
  // Written so that NaN fails.
  if (!(scale >= 0 && scale <= max_guidance_scale)) {
    violations->Add("classifier_scale",
                    absl::StrCat(scale, " is not in 0 .. ", max_guidance_scale));
  } else if (scale != 0 && !model.has_classifier) {
    violations->Add("classifier_scale",
                    absl::StrCat(scale, " needs a model with a classifier; without, only 0"));
  } else if (scale != 0 && !asks_for_class) {
    violations->Add("classifier_scale",
                    absl::StrCat(scale, " needs class_id or class_name; without, only 0"));
  } else if (scale == 0 && only_way) {
    violations->Add("classifier_scale",
                    "0 leaves the class without effect: the network takes none, only the"
                    " classifier does");
  }
  return scale;
}

}  // namespace

Guidance ReadGuidance(const v1::GenerateRequest& request, const ServedModel& model,
                      double max_guidance_scale, FieldViolations* violations) {
  Guidance guidance;
  guidance.scale = ReadScale(request, model, max_guidance_scale, violations);
  guidance.classifier_scale = ReadClassifierScale(request, model, max_guidance_scale, violations);
  const bool mixes = guidance.scale != 1;
  const bool guides = mixes || guidance.classifier_scale != 0;
  const auto read = [&](const char* field, bool is_set, float value, double high, bool has_effect,
                        double* target) {
    if (!is_set) return;
    if (!(value >= 0 && value <= high)) {
      violations->Add(field, absl::StrCat(value, " is not in 0 .. ", high));
    } else if (!has_effect) {
      violations->Add(field, absl::StrCat(value,
                                          " has no effect without guidance: guidance_scale "
                                          "is 1"));
    }
    *target = value;
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  read("guidance_sigma_min", request.has_guidance_sigma_min(), request.guidance_sigma_min(),
       kInfinity, guides, &guidance.sigma_min);
  read("guidance_sigma_max", request.has_guidance_sigma_max(), request.guidance_sigma_max(),
       kInfinity, guides, &guidance.sigma_max);
  read("guidance_rescale", request.has_guidance_rescale(), request.guidance_rescale(), 1, mixes,
       &guidance.rescale);
  if (guidance.sigma_min > guidance.sigma_max) {
    violations->Add("guidance_sigma_max",
                    absl::StrCat(guidance.sigma_max, " is below guidance_sigma_min, which is ",
                                 guidance.sigma_min));
  }
  return guidance;
}

void WriteGuidance(const Guidance& guidance, v1::ResolvedParameters* parameters) {
  const Guidance none;
  parameters->set_guidance_scale(static_cast<float>(guidance.scale));
  if (guidance.classifier_scale != none.classifier_scale) {
    parameters->set_classifier_scale(static_cast<float>(guidance.classifier_scale));
  }
  if (guidance.sigma_min != none.sigma_min) {
    parameters->set_guidance_sigma_min(static_cast<float>(guidance.sigma_min));
  }
  if (guidance.sigma_max != none.sigma_max) {
    parameters->set_guidance_sigma_max(static_cast<float>(guidance.sigma_max));
  }
  if (guidance.rescale != none.rescale) {
    parameters->set_guidance_rescale(static_cast<float>(guidance.rescale));
  }
}

}  // namespace diffusiond
