#include "server/rpc/sampling_fields.h"

#include <limits>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "model/sampling/langevin_options.h"

namespace diffusiond {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Switch {
  bool SamplingOptions::*option;
};
struct Integer {
  int64_t SamplingOptions::*option;
  int64_t low, high;
};
struct Number {
  double SamplingOptions::*option;
  double low, high;
  bool above_low = false;  // `low` itself is not allowed.
};
struct Name {
  std::string SamplingOptions::*option;
  std::vector<std::string> allowed;  // Empty: the sampler's solver_types.
};

// `name` is that of the field in GenerateRequest, in ResolvedParameters and in Sampler::options.
struct SamplingField {
  const char* name;
  std::variant<Switch, Integer, Number, Name> value;
};

std::span<const SamplingField> Fields() {
  using O = SamplingOptions;
  static const auto& fields = *new std::vector<SamplingField>{
      {"eta", Number{&O::eta, 0, 1}},
      {"variance",
       Name{&O::variance,
            {"fixed_small", "fixed_small_log", "fixed_large", "zero", "learned", "learned_range"}}},
      {"timestep_spacing", Name{&O::timestep_spacing, {"leading", "trailing", "linspace"}}},
      {"arithmetic", Name{&O::arithmetic, {"exact", "diffusers"}}},
      {"clip_sample", Switch{&O::clip_sample}},
      {"use_clipped_model_output", Switch{&O::use_clipped_model_output}},
      {"thresholding", Switch{&O::thresholding}},
      {"dynamic_thresholding_ratio", Number{&O::dynamic_thresholding_ratio, 0, 1, true}},
      {"sample_max_value", Number{&O::sample_max_value, 1, 1e6}},
      {"sigma_schedule", Name{&O::sigma_schedule, {"timesteps", "karras", "exponential", "beta"}}},
      {"final_sigmas_type", Name{&O::final_sigmas_type, {"zero", "sigma_min"}}},
      {"s_churn", Number{&O::s_churn, 0, 1e6}},
      {"s_tmin", Number{&O::s_tmin, 0, kInfinity}},
      {"s_tmax", Number{&O::s_tmax, 0, kInfinity}},
      {"s_noise", Number{&O::s_noise, 0, 10}},
      {"solver_order", Integer{&O::solver_order, 1, 3}},
      {"solver_type", Name{&O::solver_type, {}}},
      {"algorithm_type", Name{&O::algorithm_type, {"dpmsolver++", "sde-dpmsolver++"}}},
      {"lower_order_final", Switch{&O::lower_order_final}},
      {"euler_at_final", Switch{&O::euler_at_final}},
      {"predict_x0", Switch{&O::predict_x0}},
      {"skip_prk_steps", Switch{&O::skip_prk_steps}},
      {"langevin_steps", Integer{&O::langevin_steps, 1, 1000}},
      {"langevin_step_size", Number{&O::langevin_step_size, 0, kMaxLangevinStepSize, true}},
  };
  return fields;
}

const google::protobuf::FieldDescriptor* Descriptor(const google::protobuf::Message& message,
                                                    const char* name) {
  return message.GetDescriptor()->FindFieldByName(name);
}

double AsFloat(double value) { return static_cast<double>(static_cast<float>(value)); }

// Checks one field that the request sets, by its type.
class FieldReader {
 public:
  FieldReader(const v1::GenerateRequest& request, const Sampler* sampler, SamplingOptions* options,
              FieldViolations* violations)
      : request_(request), sampler_(sampler), options_(options), violations_(violations) {}

  void Read(const SamplingField& field) {
    name_ = field.name;
    descriptor_ = Descriptor(request_, field.name);
    if (!reflection().HasField(request_, descriptor_)) return;
    std::visit([this](const auto& value) { ReadValue(value); }, field.value);
  }

 private:
  const google::protobuf::Reflection& reflection() const { return *request_.GetReflection(); }

  void ReadValue(const Switch& field) {
    const bool value = reflection().GetBool(request_, descriptor_);
    RefuseIfUnread(value ? "true" : "false");
    options_->*field.option = value;
  }

  void ReadValue(const Integer& field) {
    const int64_t value = reflection().GetUInt32(request_, descriptor_);
    if (value < field.low || value > field.high) {
      violations_->Add(name_, absl::StrCat(value, " is not in ", field.low, " .. ", field.high));
    } else {
      RefuseIfUnread(absl::StrCat(value));
    }
    options_->*field.option = value;
  }

  void ReadValue(const Number& field) {
    const float value = reflection().GetFloat(request_, descriptor_);
    // Written so that NaN fails.
    const bool ok = value >= field.low && value <= field.high &&
                    !(field.above_low && static_cast<double>(value) == field.low);
    if (!ok) {
      violations_->Add(name_, absl::StrCat(value, " is not in ", field.low, " .. ", field.high,
                                           field.above_low ? ", the first excluded" : ""));
    } else {
      RefuseIfUnread(absl::StrCat(value));
    }
    options_->*field.option = value;
  }

  void ReadValue(const Name& field) {
    const std::string value = reflection().GetString(request_, descriptor_);
    const bool by_sampler = field.allowed.empty();
    if (by_sampler && (sampler_ == nullptr || sampler_->solver_types.empty())) {
      RefuseIfUnread(QuoteValue(value));
      return;
    }
    const std::vector<std::string>& allowed = by_sampler ? sampler_->solver_types : field.allowed;
    if (absl::c_linear_search(allowed, value)) {
      RefuseIfUnread(QuoteValue(value));
    } else {
      violations_->Add(
          name_, absl::StrCat(QuoteValue(value), " is not one of ", absl::StrJoin(allowed, ", ")));
    }
    options_->*field.option = value;
  }

  // A value that would have no effect is a mistake of the caller's: better said than ignored.
  void RefuseIfUnread(absl::string_view value) {
    if (sampler_ == nullptr || Reads(*sampler_, name_)) return;
    std::vector<std::string> readers;
    for (const Sampler& sampler : Samplers()) {
      if (Reads(sampler, name_)) readers.push_back(sampler.name);
    }
    violations_->Add(name_, absl::StrCat(value, " has no effect on sampler ", sampler_->name,
                                         "; read by: ", absl::StrJoin(readers, ", ")));
  }

  const v1::GenerateRequest& request_;
  const Sampler* sampler_;
  SamplingOptions* options_;
  FieldViolations* violations_;
  const char* name_ = nullptr;
  const google::protobuf::FieldDescriptor* descriptor_ = nullptr;
};

}  // namespace

const Sampler* FindSampler(absl::string_view name) {
  for (const Sampler& sampler : Samplers()) {
    if (sampler.name == name) return &sampler;
  }
  return nullptr;
}

bool Reads(const Sampler& sampler, absl::string_view field) {
  return absl::c_linear_search(sampler.options, field);
}

void ReadSamplingFields(const v1::GenerateRequest& request, const Sampler* sampler,
                        SamplingOptions* options, FieldViolations* violations) {
  if (sampler != nullptr) *options = ForSampler(sampler->name, std::move(*options));
  FieldReader reader(request, sampler, options, violations);
  for (const SamplingField& field : Fields()) {
    if (const auto* number = std::get_if<Number>(&field.value)) {
      options->*number->option = AsFloat(options->*number->option);
    }
    reader.Read(field);
  }
}

void ForgetUnreadOptions(const Sampler& sampler, SamplingOptions* options) {
  const SamplingOptions none;
  for (const SamplingField& field : Fields()) {
    if (Reads(sampler, field.name)) continue;
    std::visit([&](const auto& value) { options->*value.option = none.*value.option; },
               field.value);
  }
}

void WriteSamplingFields(const SamplingOptions& options, v1::ResolvedParameters* parameters) {
  parameters->set_sampler(options.sampler);
  parameters->set_steps(static_cast<uint32_t>(options.steps));
  const Sampler* const sampler = FindSampler(options.sampler);
  if (sampler == nullptr) return;
  const google::protobuf::Reflection& reflection = *parameters->GetReflection();
  for (const SamplingField& field : Fields()) {
    if (!Reads(*sampler, field.name)) continue;
    const auto* descriptor = Descriptor(*parameters, field.name);
    if (const auto* on = std::get_if<Switch>(&field.value)) {
      reflection.SetBool(parameters, descriptor, options.*on->option);
    } else if (const auto* integer = std::get_if<Integer>(&field.value)) {
      reflection.SetUInt32(parameters, descriptor, static_cast<uint32_t>(options.*integer->option));
    } else if (const auto* number = std::get_if<Number>(&field.value)) {
      reflection.SetFloat(parameters, descriptor, static_cast<float>(options.*number->option));
    } else if (const auto* name = std::get_if<Name>(&field.value)) {
      reflection.SetString(parameters, descriptor, options.*name->option);
    }
  }
}

}  // namespace diffusiond
