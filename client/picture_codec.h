// Images and previews of the API as pixels.
#ifndef DIFFUSIOND_CLIENT_PICTURE_CODEC_H_
#define DIFFUSIOND_CLIENT_PICTURE_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "model/imaging/image.h"

namespace diffusiond {

// INVALID_ARGUMENT: the bytes are not what `message.format` says, or not of the announced size.
absl::StatusOr<Image> DecodePicture(const v1::Image& message);
absl::StatusOr<Image> DecodePicture(const v1::Preview& message);

// "png", "webp", "jpeg" or "raw", also the file's extension but for "raw", which is "f32".
std::string FormatName(v1::ImageFormat format);
std::string FileExtension(v1::ImageFormat format);

// Of a name as FormatName gives it, or of a file's extension without its dot ("jpg" too).
absl::StatusOr<v1::ImageFormat> ParseFormat(const std::string& name);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_PICTURE_CODEC_H_
