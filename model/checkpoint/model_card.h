// The README.md of a published version whose checkpoint brings none.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_MODEL_CARD_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_MODEL_CARD_H_

#include <string>

#include "model/checkpoint/default_sampling.h"
#include "model/checkpoint/diffusers_directory.h"

namespace diffusiond {

// Markdown: what the model is, how to draw in Python what `defaults`, its own, draw, and
// `training`, if not empty, on how it was made.
std::string MakeModelCard(const std::string& name, const Checkpoint& checkpoint,
                          const DefaultSampling& defaults, const std::string& training);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_MODEL_CARD_H_
