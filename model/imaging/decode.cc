#include "model/imaging/decode.h"

#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/webp.h"

namespace diffusiond {

absl::StatusOr<Image> DecodeImage(std::string_view bytes, const DecodeLimits& limits) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return DecodePng(bytes, limits);
  if (bytes.starts_with("\xff\xd8\xff")) return DecodeJpeg(bytes, limits);
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) {
    return DecodeWebp(bytes, limits);
  }
  return absl::InvalidArgumentError("picture is neither PNG, JPEG nor WebP");
}

}  // namespace diffusiond
