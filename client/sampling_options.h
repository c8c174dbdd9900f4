// The fields of the API's SamplingOptions: what they are called on a command line, and their
// values.
#ifndef DIFFUSIOND_CLIENT_SAMPLING_OPTIONS_H_
#define DIFFUSIOND_CLIENT_SAMPLING_OPTIONS_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "diffusiond/v1/sampling_options.pb.h"
#include "model/config/option.h"

namespace diffusiond {

// By name.
using OptionValues = std::map<std::string, OptionValue, std::less<>>;

// Those of samplers and of guidance, in the order in which they are best read.
const std::vector<OptionSpec>& SamplingOptionSpecs();

// Null if there is none of that name.
const OptionSpec* FindSamplingOption(absl::string_view name);

// Sets them all in `sampling`.
void SetSampling(const OptionValues& values, v1::SamplingOptions* sampling);

// The values that an option takes: "0..1", "midpoint|heun", "true|false".
std::string ValuesOf(const OptionSpec& option);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_SAMPLING_OPTIONS_H_
