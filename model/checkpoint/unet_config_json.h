// UNetConfig <-> diffusers' config.json.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_UNET_CONFIG_JSON_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_UNET_CONFIG_JSON_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/config/unet_config.h"

namespace diffusiond {

// The version of diffusers whose files ours equal, field for field.
inline constexpr char kDiffusersVersion[] = "0.35.2";

// Reads files of any age: absent fields take the constructor's defaults, except sample_size, which
// must be there; unknown fields are ignored. INVALID_ARGUMENT names the field, what was found and
// what is allowed. The result passes Validate.
absl::StatusOr<UNetConfig> ParseUNetConfig(absl::string_view json);
// The same; `warnings` gets a sentence for each field that UNet2DModel does not know.
absl::StatusOr<UNetConfig> ParseUNetConfig(absl::string_view json,
                                           std::vector<std::string>* warnings);

// All fields that diffusers writes. ParseUNetConfig gives `config` back.
absl::StatusOr<std::string> FormatUNetConfig(const UNetConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_UNET_CONFIG_JSON_H_
