// Holds a server to what the API promises about Generate's stream and about image bytes.
#ifndef DIFFUSIOND_CLIENT_GENERATE_EVENT_CHECKER_H_
#define DIFFUSIOND_CLIENT_GENERATE_EVENT_CHECKER_H_

#include <cstdint>
#include <optional>
#include <string>

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// DATA_LOSS when image.sha256 is not the digest of image.data.
absl::Status CheckImageDigest(const v1::Image& image);

// Checks one stream, event by event, against the order documented at DiffusionService.Generate.
// Errors: DATA_LOSS for damaged image bytes, INTERNAL for everything else that breaks the promise.
// Thread-compatible.
class GenerateEventChecker {
 public:
  absl::Status Check(const v1::GenerateEvent& event);

  // To be asked when the stream ended with OK: was it complete?
  absl::Status CheckEnd() const;

 private:
  struct ImageState {
    uint32_t steps_done = 0;
    uint32_t steps_total = 0;  // 0: not known yet.
    uint32_t preview_steps_done = 0;
    std::string sha256;  // Empty: its Image has not come.
  };

  absl::Status CheckAccepted(const v1::Accepted& accepted);
  absl::Status CheckProgress(const v1::Progress& progress);
  absl::Status CheckPreview(const v1::Preview& preview);
  absl::Status CheckImage(const v1::Image& image);
  absl::Status CheckCompleted(const v1::Completed& completed);
  // The image must be one of the request's and not be finished.
  absl::Status CheckOpenImage(absl::string_view event, uint32_t image_index) const;

  // Of one of the request's images.
  ImageState& StateOf(uint32_t image_index) { return images_[image_index - first_image_]; }

  std::optional<std::string> request_id_;  // Set by Accepted.
  uint32_t first_image_ = 0;
  bool completed_ = false;
  std::vector<ImageState> images_;
};

// The same promises for GenerateImages: images by index, digests, and a receipt that lists them.
absl::Status CheckGenerateImagesResponse(const v1::GenerateImagesResponse& response);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_GENERATE_EVENT_CHECKER_H_
