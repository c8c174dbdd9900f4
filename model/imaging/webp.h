// WebP in memory. Free of state; any thread.
#ifndef DIFFUSIOND_MODEL_IMAGING_WEBP_H_
#define DIFFUSIOND_MODEL_IMAGING_WEBP_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Lossless. WebP has no grey: a grey image is written, and comes back, as RGB. The same image gives
// the same bytes with the same libwebp. InvalidArgument as CheckImage.
absl::StatusOr<std::string> EncodeWebpLossless(const Image& image);

// Lossless or lossy; always RGB; alpha is laid on white; turned as EXIF says. OutOfRange for one
// larger than the limits, before memory for it is allocated; InvalidArgument for anything else: not
// a WebP, animated, truncated, corrupt. Damage that still is a valid code stream cannot be seen:
// WebP has no checksum.
absl::StatusOr<Image> DecodeWebp(std::string_view bytes, const DecodeLimits& limits = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_WEBP_H_
