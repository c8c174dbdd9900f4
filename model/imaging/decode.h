// A picture of any format that the project reads.
#ifndef DIFFUSIOND_MODEL_IMAGING_DECODE_H_
#define DIFFUSIOND_MODEL_IMAGING_DECODE_H_

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"

namespace diffusiond {

// What is read of a file to tell its format.
inline constexpr size_t kPictureFormatBytes = 16;

// "PNG", "JPEG", "WebP", or the name of another format that pictures are kept in, by its first
// bytes; empty for what is no picture known.
std::string_view PictureFormat(std::string_view bytes);

// Tells PNG, JPEG and WebP apart by their first bytes and decodes. Errors as
// the format's decoder; InvalidArgument, naming the format if it is known, for others.
absl::StatusOr<Image> DecodeImage(std::string_view bytes, const DecodeLimits& limits = {});

// How transparent a PNG or WebP is, in grey: white where nothing of it is seen. Errors as above;
// InvalidArgument for a picture without alpha (a JPEG never has one).
absl::StatusOr<Image> DecodeTransparency(std::string_view bytes, const DecodeLimits& limits = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_DECODE_H_
