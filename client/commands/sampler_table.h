// The samplers of a model, for people.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_SAMPLER_TABLE_H_
#define DIFFUSIOND_CLIENT_COMMANDS_SAMPLER_TABLE_H_

#include <string>

#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// Of each its name and how many steps it takes unless told, and below that its description and the
// options that it reads, in lines of at most `columns`.
std::string SamplerList(const v1::Model& model, int columns);

// Of those options: the values that each takes, and what it is.
std::string OptionList(const v1::Model& model, int columns);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_SAMPLER_TABLE_H_
