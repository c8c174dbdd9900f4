// A picture of any format that the project reads.
#ifndef DIFFUSIOND_MODEL_IMAGING_DECODE_H_
#define DIFFUSIOND_MODEL_IMAGING_DECODE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Tells PNG, JPEG and WebP apart by their first bytes and decodes. InvalidArgument for others and
// as the format's decoder.
absl::StatusOr<Image> DecodeImage(std::string_view bytes, const DecodeLimits& limits = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_DECODE_H_
