// One Generate call as the commands make it: shown while it runs, its images saved as they come.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_GENERATION_RUN_H_
#define DIFFUSIOND_CLIENT_COMMANDS_GENERATION_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/commands/command_line.h"
#include "client/diffusion_client.h"
#include "client/generate_display.h"
#include "model/imaging/image.h"

namespace diffusiond {

inline constexpr char kStandardOutput[] = "-";

struct GenerationOutputs {
  // As OutputFiles takes it, or kStandardOutput; absent: images are not saved.
  std::optional<std::string> out;
  std::string sheet;  // PNG file; empty: none. Likewise the following.
  std::string strip;
  bool labels = true;   // Words on sheet and strip: picture_labels.h.
  std::string receipt;  // File; empty: beside the images.
  bool write_receipt = true;
  bool embed_receipt = true;  // Into each PNG and WebP that is saved: picture_receipt.h.
  uint32_t max_count = 0;     // More images than that are drawn by several requests; 0: by one.
  bool quiet = false;         // Show no progress and no file names.
  bool json = false;          // GenerationJson in place of file names.
  std::function<void(const Image& picture)> on_picture = nullptr;  // Each image as it comes.
};

// Runs `request` and prints what was written. Places that cannot be written are told before the
// call, missing directories made. Files are whole or absent, also after an error;
// images that came before an error are kept, without receipts, which come last. Errors: as
// Generate, or of the first file that could not be written or picture that could not be decoded,
// which also ends the call.
absl::StatusOr<v1::Completed> RunGeneration(const DiffusionClient& client,
                                            const v1::GenerateRequest& request,
                                            const GenerationOutputs& outputs,
                                            CommandContext& context);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_GENERATION_RUN_H_
