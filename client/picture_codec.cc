#include "client/picture_codec.h"

#include <bit>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/webp.h"

namespace diffusiond {
namespace {

static_assert(std::endian::native == std::endian::little, "raw images are little-endian");

absl::StatusOr<Image> DecodeRaw(uint32_t width, uint32_t height, const std::string& data) {
  const uint64_t plane_bytes = uint64_t{width} * height * sizeof(float);
  const uint64_t channels = plane_bytes == 0 ? 0 : data.size() / plane_bytes;
  if (width > kMaxImageSide || height > kMaxImageSide || (channels != 1 && channels != 3) ||
      channels * plane_bytes != data.size()) {
    return absl::InvalidArgumentError(absl::StrCat("raw image of ", data.size(),
                                                   " bytes, expected 1 or 3 planes of ", width,
                                                   " x ", height, " float32"));
  }
  Frame frame{static_cast<int>(channels), static_cast<int>(height), static_cast<int>(width),
              std::vector<float>(data.size() / sizeof(float))};
  std::memcpy(frame.values.data(), data.data(), data.size());
  return ToImage(frame);
}

template <typename Message>
absl::StatusOr<Image> Decode(const Message& message) {
  absl::StatusOr<Image> image = absl::InvalidArgumentError(
      absl::StrCat("image format ", static_cast<int>(message.format()), " is not known here"));
  switch (message.format()) {
    case v1::IMAGE_FORMAT_UNSPECIFIED:
    case v1::IMAGE_FORMAT_PNG:
      image = DecodePng(message.data());
      break;
    case v1::IMAGE_FORMAT_WEBP:
      image = DecodeWebp(message.data());
      break;
    case v1::IMAGE_FORMAT_JPEG:
      image = DecodeJpeg(message.data());
      break;
    case v1::IMAGE_FORMAT_RAW_FLOAT32:
      image = DecodeRaw(message.width(), message.height(), message.data());
      break;
    default:
      break;
  }
  if (image.ok() && (image->width != static_cast<int>(message.width()) ||
                     image->height != static_cast<int>(message.height()))) {
    return absl::InvalidArgumentError(absl::StrCat("the image is ", image->width, " x ",
                                                   image->height, ", announced as ",
                                                   message.width(), " x ", message.height()));
  }
  return image;
}

}  // namespace

absl::StatusOr<Image> DecodePicture(const v1::Image& message) { return Decode(message); }
absl::StatusOr<Image> DecodePicture(const v1::Preview& message) { return Decode(message); }

std::string FormatName(v1::ImageFormat format) {
  switch (format) {
    case v1::IMAGE_FORMAT_WEBP:
      return "webp";
    case v1::IMAGE_FORMAT_JPEG:
      return "jpeg";
    case v1::IMAGE_FORMAT_RAW_FLOAT32:
      return "raw";
    default:
      return "png";
  }
}

std::string FileExtension(v1::ImageFormat format) {
  return format == v1::IMAGE_FORMAT_RAW_FLOAT32 ? "f32" : FormatName(format);
}

absl::StatusOr<v1::ImageFormat> ParseFormat(const std::string& name) {
  const std::string lower = absl::AsciiStrToLower(name);
  if (lower == "png") return v1::IMAGE_FORMAT_PNG;
  if (lower == "webp") return v1::IMAGE_FORMAT_WEBP;
  if (lower == "jpeg" || lower == "jpg") return v1::IMAGE_FORMAT_JPEG;
  if (lower == "raw" || lower == "f32") return v1::IMAGE_FORMAT_RAW_FLOAT32;
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' is not an image format, expected png, webp, jpeg or raw"));
}

}  // namespace diffusiond
