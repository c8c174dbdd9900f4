// XMP packets inside WebP files (WebP container specification, "Metadata"). Free of state; any
// thread.
#ifndef DIFFUSIOND_MODEL_IMAGING_WEBP_XMP_H_
#define DIFFUSIOND_MODEL_IMAGING_WEBP_XMP_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace diffusiond {

// `webp`, which is of the simple format (one image chunk and no other, as EncodeWebpLossless
// writes), in the extended format, which carries `packet` behind the image chunk; that stays as it
// is. INVALID_ARGUMENT: anything else.
absl::StatusOr<std::string> AddWebpXmp(std::string_view webp, std::string_view packet);

struct WebpXmp {
  std::string packet;
  // The file without it, in the simple format again if the image chunk alone is left: what
  // AddWebpXmp was given.
  std::string webp;
};

// NOT_FOUND: a WebP without XMP. INVALID_ARGUMENT: not a WebP, or one that ends too early.
absl::StatusOr<WebpXmp> TakeWebpXmp(std::string_view webp);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_WEBP_XMP_H_
