#include "model/checkpoint/generation_defaults.h"

#include <nlohmann/json.hpp>
#include <variant>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/json_fields.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

constexpr char kGuidanceScale[] = "guidance_scale";

// Null if defaults have no option of that name.
const Option<SamplingOptions>* FindDefault(absl::string_view name) {
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    if (option.name == name && name != "strength") return &option;
  }
  return nullptr;
}

// Reads the field that bears the option's name, of the option's kind, if it is there.
void Read(const OptionSpec& option, JsonFields* fields, GenerationDefaults* defaults) {
  const std::string name(option.name);
  const auto read = [&](auto value) {
    if (fields->Find(name.c_str()) == nullptr) return;
    fields->Read(name.c_str(), &value);
    defaults->options[name] = std::move(value);
  };
  switch (option.kind) {
    case OptionKind::kSwitch:
      return read(bool{});
    case OptionKind::kInteger:
      return read(int64_t{});
    case OptionKind::kNumber:
      return read(double{});
    case OptionKind::kWord:
      return read(std::string());
  }
}

}  // namespace

void GenerationDefaults::ApplyTo(SamplingOptions* sampling) const {
  for (const auto& [name, value] : options) FindDefault(name)->set(value, sampling);
}

absl::Status Validate(const GenerationDefaults& defaults) {
  absl::Status status;
  if (defaults.sampler().empty()) status = absl::InvalidArgumentError("sampler is empty");
  const OptionSpec guidance = {
      .name = kGuidanceScale, .kind = OptionKind::kNumber, .range = {0, kMaxDefaultGuidanceScale}};
  const auto check = [&status](const OptionSpec& option, const OptionValue& value) {
    const std::string fault = FaultOf(option, value);
    if (!fault.empty()) {
      status.Update(absl::InvalidArgumentError(absl::StrCat(option.name, ": ", fault)));
    }
  };
  check(guidance, defaults.guidance_scale);
  for (const auto& [name, value] : defaults.options) {
    const auto* const option = FindDefault(name);
    if (option == nullptr) {
      status.Update(absl::InvalidArgumentError(absl::StrCat(name, " is no option with a default")));
    } else if (value.index() != static_cast<size_t>(option->kind)) {
      status.Update(absl::InvalidArgumentError(absl::StrCat(name, " is of another kind")));
    } else {
      check(*option, value);
    }
  }
  return status;
}

absl::StatusOr<GenerationDefaults> ParseGenerationDefaults(absl::string_view json) {
  std::vector<std::string> unheard;
  return ParseGenerationDefaults(json, &unheard);
}

absl::StatusOr<GenerationDefaults> ParseGenerationDefaults(absl::string_view json,
                                                           std::vector<std::string>* warnings) {
  ASSIGN_OR_RETURN(Json object, ParseJsonObject(json));
  JsonFields fields(object);
  fields.NullIsAbsent();
  GenerationDefaults defaults;
  fields.Read(kGuidanceScale, &defaults.guidance_scale);
  for (const auto& [name, value] : object.items()) {
    if (name[0] == '_' || value.is_null() || name == kGuidanceScale) continue;
    if (const auto* const option = FindDefault(name); option != nullptr) {
      Read(*option, &fields, &defaults);
    } else {
      warnings->push_back(absl::StrCat(kGenerationConfigName, ": the field ", Quoted(name),
                                       " is not known here and changes nothing"));
    }
  }
  RETURN_IF_ERROR(fields.status());
  RETURN_IF_ERROR(Validate(defaults));
  return defaults;
}

absl::StatusOr<std::string> FormatGenerationDefaults(const GenerationDefaults& defaults) {
  Json json = {{kGuidanceScale, defaults.guidance_scale}};
  for (const auto& [name, value] : defaults.options) {
    std::visit([&json, &name = name](const auto& v) { json[name] = v; }, value);
  }
  return FormatJson(json);
}

}  // namespace diffusiond
