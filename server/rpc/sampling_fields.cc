#include "server/rpc/sampling_fields.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/option_fields.h"

namespace diffusiond {
namespace {

// A value that would have no effect is a mistake of the caller's: better said than ignored.
std::string NoEffect(const Sampler& sampler, const OptionSpec& option, const OptionValue& value) {
  std::vector<std::string> readers;
  for (const Sampler& other : Samplers()) {
    if (Reads(other, option.name)) readers.push_back(other.name);
  }
  return absl::StrCat(ToText(value), " has no effect on sampler ", sampler.name,
                      "; read by: ", absl::StrJoin(readers, ", "));
}

}  // namespace

void ReadSampling(const v1::SamplingOptions& asked, const Sampler* sampler, int64_t max_steps,
                  SamplingOptions* options, FieldViolations* violations) {
  if (sampler != nullptr) *options = ForSampler(sampler->name, std::move(*options));
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    if (option.name == "sampler") continue;  // It was found, or not, by who calls.
    option.set(AsCarried(option.get(*options)), options);
    const std::optional<OptionValue> value = ReadOption(asked, option);
    if (!value.has_value()) continue;
    OptionSpec spec = option;
    if (sampler != nullptr) spec = SpecFor(*sampler, option);
    if (option.name == "steps") spec.range.high = static_cast<double>(max_steps);
    std::string fault = FaultOf(spec, *value);
    if (fault.empty() && sampler != nullptr && !Reads(*sampler, option.name)) {
      fault = NoEffect(*sampler, option, *value);
    }
    if (fault.empty()) {
      option.set(*value, options);
    } else {
      violations->Add(absl::StrCat("sampling.", option.name), fault);
    }
  }
}

void WriteSampling(const SamplingOptions& options, v1::SamplingOptions* message) {
  const Sampler* const sampler = FindSampler(options.sampler);
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    if (sampler != nullptr && !Reads(*sampler, option.name)) continue;
    WriteOption(option, option.get(options), message);
  }
}

}  // namespace diffusiond
