// PNG in memory. Free of state; any thread.
#ifndef DIFFUSIOND_MODEL_IMAGING_PNG_H_
#define DIFFUSIOND_MODEL_IMAGING_PNG_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"

namespace diffusiond {

// 8-bit grey or RGB, not interlaced, no ancillary chunks. For each row libpng picks among all five
// filters the one with the least sum of absolute differences; zlib level 6 then codes run lengths
// (Z_RLE), which is quick. The same image gives the same bytes with the same libpng and zlib.
// InvalidArgument as CheckImage.
absl::StatusOr<std::string> EncodePng(const Image& image);

// Any PNG of the standard. Grey stays grey, palettes become RGB, 16-bit samples are scaled to 8,
// alpha and tRNS are laid on white; turned as eXIf says; gamma and colour profiles are ignored.
// Other ancillary chunks, what follows the last row's pixels and bytes after the end chunk are
// ignored too, and not inflated. OutOfRange for one larger than the limits, before memory for it is
// allocated; InvalidArgument for anything else: not a PNG, corrupt, truncated (the end chunk must
// be there).
absl::StatusOr<Image> DecodePng(std::string_view bytes, const DecodeLimits& limits = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_PNG_H_
