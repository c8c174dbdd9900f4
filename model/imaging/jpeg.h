// JPEG in memory. Free of state; any thread.
#ifndef DIFFUSIOND_MODEL_IMAGING_JPEG_H_
#define DIFFUSIOND_MODEL_IMAGING_JPEG_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Baseline, optimised Huffman tables, colour at full resolution (pictures here are small, and
// halved colour shows on them). `quality` is libjpeg's, 1 .. 100. InvalidArgument for another
// quality and as CheckImage.
absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality);

// Baseline or progressive, grey (stays grey), colour, or CMYK and YCCK, which become RGB by plain
// arithmetic; turned as EXIF says. Colour profiles are ignored, and so are stray bytes between
// segments and versions that are not known. OutOfRange for one larger than the limits, before
// memory for it is allocated; InvalidArgument for anything else: not a JPEG, and whatever libjpeg
// would only warn of: truncated data, damaged entropy coding. Damage that still is a valid code
// stream cannot be seen: JPEG has no checksum.
absl::StatusOr<Image> DecodeJpeg(std::string_view bytes, const DecodeLimits& limits = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_JPEG_H_
