// The flags that are options of a sampler.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_SAMPLING_FLAGS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_SAMPLING_FLAGS_H_

#include <string>
#include <vector>

#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// --sampler, --steps and what `diffusionctl samplers` lists.
extern const std::vector<std::string> kSamplingFlags;

// Sets in `request` what the command line sets.
void SetSamplingByFlags(v1::GenerateRequest& request);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_SAMPLING_FLAGS_H_
