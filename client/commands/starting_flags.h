// The flags that say what images start from.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_STARTING_FLAGS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_STARTING_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// Files whose bytes a request carries.
extern const std::vector<std::string> kStartingFileFlags;
// What a receipt carries by itself.
extern const std::vector<std::string> kMorphFlags;
extern const std::vector<std::string> kFitFlags;

// Puts the files' bytes into the request. Errors name the flag and the file.
absl::Status SetStartingFilesByFlags(v1::GenerateRequest& request);
void SetMorphByFlag(v1::GenerateRequest& request);
// INVALID_ARGUMENT: a word that is none of its.
absl::Status SetFitByFlag(v1::GenerateRequest& request);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_STARTING_FLAGS_H_
