#include "client/sampling_options.h"

#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/sampling/guidance.h"
#include "model/sampling/sampling_options.h"
#include "proto/option_fields.h"

namespace diffusiond {

const std::vector<OptionSpec>& SamplingOptionSpecs() {
  static const auto* const all = [] {
    auto* specs =
        new std::vector<OptionSpec>(std::begin(kSamplingOptions), std::end(kSamplingOptions));
    specs->insert(specs->end(), std::begin(kGuidanceOptions), std::end(kGuidanceOptions));
    return specs;
  }();
  return *all;
}

const OptionSpec* FindSamplingOption(absl::string_view name) {
  for (const OptionSpec& option : SamplingOptionSpecs()) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

void SetSampling(const OptionValues& values, v1::SamplingOptions* sampling) {
  for (const auto& [name, value] : values) WriteOption(*FindSamplingOption(name), value, sampling);
}

std::string ValuesOf(const OptionSpec& option) {
  const OptionRange& range = option.range;
  switch (option.kind) {
    case OptionKind::kSwitch:
      return "true|false";
    case OptionKind::kWord:
      return option.words.empty() ? "NAME" : absl::StrJoin(option.words, "|");
    case OptionKind::kInteger:
    case OptionKind::kNumber:
      break;
  }
  if (range.high == std::numeric_limits<double>::infinity()) {
    return absl::StrCat(range.low, " or more");
  }
  return absl::StrCat(range.low, "..", range.high);
}

}  // namespace diffusiond
