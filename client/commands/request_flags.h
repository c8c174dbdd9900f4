// The flags that say what is drawn, and the request that they make.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_REQUEST_FLAGS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_REQUEST_FLAGS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sampling_options.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// All but the previews. INVALID_ARGUMENT names the flag.
absl::StatusOr<v1::GenerateRequest> RequestByFlags(const OptionValues& options);

// The same status, its wrong fields with the names of their flags: "--steps" for "sampling.steps".
// For requests that flags made.
absl::Status WithFlagNames(const absl::Status& status);

// A number is a class' id, all else its name; empty: none.
void SetClass(const std::string& name, v1::GenerateRequest* request);

// A class may be typed as in file names, without quoting: "ankle_boot" or "ankle-boot" for "Ankle
// boot". What is no class that way either is left for the server to refuse.
void SpellClassAsTheModel(const v1::Model& model, v1::GenerateRequest& request);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_REQUEST_FLAGS_H_
