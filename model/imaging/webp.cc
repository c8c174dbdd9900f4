#include "model/imaging/webp.h"

#include <webp/decode.h>
#include <webp/encode.h>

#include <memory>
#include <utility>
#include <vector>

#include "model/imaging/exif.h"
#include "model/imaging/samples.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

struct WebpFree {
  void operator()(uint8_t* bytes) const { WebPFree(bytes); }
};

std::vector<uint8_t> GreyToRgb(const std::vector<uint8_t>& grey) {
  std::vector<uint8_t> rgb;
  rgb.reserve(grey.size() * 3);
  for (const uint8_t value : grey) rgb.insert(rgb.end(), 3, value);
  return rgb;
}

}  // namespace

absl::StatusOr<std::string> EncodeWebpLossless(const Image& image) {
  RETURN_IF_ERROR(CheckImage(image));
  std::vector<uint8_t> expanded;
  if (image.channels == 1) expanded = GreyToRgb(image.pixels);
  const uint8_t* rgb = image.channels == 1 ? expanded.data() : image.pixels.data();
  uint8_t* bytes = nullptr;
  const size_t size =
      WebPEncodeLosslessRGB(rgb, image.width, image.height, image.width * 3, &bytes);
  const std::unique_ptr<uint8_t, WebpFree> owner(bytes);
  if (size == 0) return absl::InternalError("WebP was not written: libwebp ran out of memory");
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

absl::StatusOr<PictureSamples> ReadWebpSamples(std::string_view bytes, const DecodeLimits& limits) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK) {
    return absl::InvalidArgumentError("WebP is not readable: the header is missing or damaged");
  }
  if (features.has_animation) {
    return absl::InvalidArgumentError("WebP is animated, expected one picture");
  }
  RETURN_IF_ERROR(CheckDecodedSize("WebP", features.width, features.height, limits));
  const int samples = features.has_alpha ? 4 : 3;
  const int stride = features.width * samples;
  std::vector<uint8_t> pixels(size_t(stride) * features.height);
  const uint8_t* decoded =
      features.has_alpha
          ? WebPDecodeRGBAInto(data, bytes.size(), pixels.data(), pixels.size(), stride)
          : WebPDecodeRGBInto(data, bytes.size(), pixels.data(), pixels.size(), stride);
  if (decoded == nullptr) {
    return absl::InvalidArgumentError("WebP is not readable: the picture is truncated or corrupt");
  }
  return PictureSamples{.width = features.width,
                        .height = features.height,
                        .channels = samples,
                        .bytes = std::move(pixels),
                        .orientation = WebpOrientation(bytes)};
}

absl::StatusOr<Image> DecodeWebp(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(PictureSamples samples, ReadWebpSamples(bytes, limits));
  return ColoursOf(std::move(samples));
}

}  // namespace diffusiond
