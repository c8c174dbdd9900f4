// The samplers of a model, for people.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_SAMPLER_TABLE_H_
#define DIFFUSIOND_CLIENT_COMMANDS_SAMPLER_TABLE_H_

#include <string>

#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// Name, the options that each reads, description.
std::string SamplerTable(const v1::Model& model);

// Of those options: the values that each takes, and what it is.
std::string OptionTable(const v1::Model& model);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_SAMPLER_TABLE_H_
