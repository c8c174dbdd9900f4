#include "server/imaging/frame_encoder.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/files/sha256.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/resize.h"
#include "model/imaging/webp.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr int kJpegQuality = 95;

std::string RawFloat32(const Frame& frame) {
  static_assert(std::endian::native == std::endian::little, "values are written as they lie");
  std::string data(frame.values.size() * sizeof(float), '\0');
  std::memcpy(data.data(), frame.values.data(), data.size());
  return data;
}

absl::StatusOr<std::string> EncodeImage(const Image& image, ImageEncoding encoding) {
  switch (encoding) {
    case ImageEncoding::kPng:
      return EncodePng(image);
    case ImageEncoding::kWebp:
      return EncodeWebpLossless(image);
    case ImageEncoding::kJpeg:
      return EncodeJpeg(image, kJpegQuality);
    case ImageEncoding::kRawFloat32:
      break;
  }
  return absl::InvalidArgumentError("raw float32 is not an image file");
}

}  // namespace

const char* EncodingName(ImageEncoding encoding) {
  switch (encoding) {
    case ImageEncoding::kPng:
      return "png";
    case ImageEncoding::kWebp:
      return "webp";
    case ImageEncoding::kJpeg:
      return "jpeg";
    case ImageEncoding::kRawFloat32:
      return "raw_float32";
  }
  return "unknown";
}

bool CanEncode(ImageEncoding encoding, int channels) {
  return encoding == ImageEncoding::kRawFloat32 || channels == 1 || channels == 3;
}

absl::StatusOr<EncodedFrame> EncodeFrame(const Frame& frame, const EncodeOptions& options) {
  const int64_t expected = int64_t{frame.channels} * frame.height * frame.width;
  if (expected <= 0 || static_cast<int64_t>(frame.values.size()) != expected) {
    return absl::InvalidArgumentError(absl::StrCat("frame of shape [", frame.channels, ", ",
                                                   frame.height, ", ", frame.width, "] holds ",
                                                   frame.values.size(), " values"));
  }
  if (!CanEncode(options.encoding, frame.channels)) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame has ", frame.channels, " channels, an image file carries 1 or 3"));
  }
  EncodedFrame encoded;
  encoded.width = frame.width;
  encoded.height = frame.height;
  if (options.encoding == ImageEncoding::kRawFloat32) {
    encoded.data = RawFloat32(frame);
  } else {
    const Image image =
        options.max_side > 0 ? ToImage(Reduce(frame, options.max_side)) : ToImage(frame);
    ASSIGN_OR_RETURN(std::string data, EncodeImage(image, options.encoding));
    encoded.data = std::move(data);
    encoded.width = image.width;
    encoded.height = image.height;
  }
  if (options.digest) encoded.sha256 = Sha256Hex(encoded.data);
  return encoded;
}

}  // namespace diffusiond
