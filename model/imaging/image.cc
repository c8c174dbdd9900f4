#include "model/imaging/image.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

uint8_t ToByte(float value) {
  const float unit = value / 2.0f + 0.5f;
  if (!(unit > 0.0f)) return 0;  // NaN included.
  // nearbyint follows the rounding mode, which is ties-to-even unless somebody changed it.
  return static_cast<uint8_t>(std::nearbyint(std::min(unit, 1.0f) * 255.0f));
}

bool FillsItsShape(const Frame& frame) {
  return frame.channels >= 1 && frame.height >= 1 && frame.width >= 1 &&
         frame.values.size() / frame.width / frame.height == size_t(frame.channels) &&
         frame.values.size() % (size_t(frame.width) * frame.height) == 0;
}

}  // namespace

Image ToImage(const Frame& frame) {
  if (!FillsItsShape(frame)) return {};
  Image image{.width = frame.width,
              .height = frame.height,
              .channels = frame.channels < 3 ? 1 : 3,
              .pixels = {}};
  const size_t plane = size_t(frame.width) * frame.height;
  image.pixels.resize(plane * image.channels);
  for (int channel = 0; channel < image.channels; ++channel) {
    const float* from = frame.values.data() + channel * plane;
    uint8_t* to = image.pixels.data() + channel;
    for (size_t i = 0; i < plane; ++i) to[i * image.channels] = ToByte(from[i]);
  }
  return image;
}

Frame ToFrame(const Image& image) {
  if (!CheckImage(image).ok()) return {};
  Frame frame{.channels = image.channels,
              .height = image.height,
              .width = image.width,
              .values = std::vector<float>(image.pixels.size())};
  const size_t plane = size_t(image.width) * image.height;
  for (int channel = 0; channel < image.channels; ++channel) {
    const uint8_t* from = image.pixels.data() + channel;
    float* to = frame.values.data() + channel * plane;
    for (size_t i = 0; i < plane; ++i) to[i] = from[i * image.channels] / 127.5f - 1.0f;
  }
  return frame;
}

absl::Status CheckImage(const Image& image) {
  if (image.channels != 1 && image.channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("image has ", image.channels, " channels, expected 1 or 3"));
  }
  if (image.width < 1 || image.width > kMaxImageSide || image.height < 1 ||
      image.height > kMaxImageSide) {
    return absl::InvalidArgumentError(absl::StrCat("image is ", image.width, " x ", image.height,
                                                   ", expected sides of 1 to ", kMaxImageSide));
  }
  const size_t expected = size_t(image.width) * image.height * image.channels;
  if (image.pixels.size() != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("image of ", image.width, " x ", image.height, " x ", image.channels, " has ",
                     image.pixels.size(), " bytes, expected ", expected));
  }
  return absl::OkStatus();
}

Image OverWhite(int width, int height, int channels, std::span<const uint8_t> with_alpha) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  const size_t count = size_t(width) * height;
  image.pixels.resize(count * channels);
  const uint8_t* from = with_alpha.data();
  uint8_t* to = image.pixels.data();
  for (size_t i = 0; i < count; ++i, from += channels + 1, to += channels) {
    const int alpha = from[channels];
    for (int channel = 0; channel < channels; ++channel) {
      to[channel] = static_cast<uint8_t>((from[channel] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }
  return image;
}

Image ToGrey(const Image& image) {
  if (image.channels != 3) return image;
  Image grey{.width = image.width, .height = image.height, .channels = 1, .pixels = {}};
  grey.pixels.reserve(image.pixels.size() / 3);
  for (size_t i = 0; i + 2 < image.pixels.size(); i += 3) {
    const uint8_t* rgb = image.pixels.data() + i;
    // In parts of 65536, which these are in sum.
    const uint32_t luma = rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u;
    grey.pixels.push_back(static_cast<uint8_t>((luma + 32768u) >> 16));
  }
  return grey;
}

bool HasNoColour(const Image& image) {
  if (image.channels != 3) return true;
  for (size_t i = 0; i + 2 < image.pixels.size(); i += 3) {
    const uint8_t* rgb = image.pixels.data() + i;
    if (rgb[0] != rgb[1] || rgb[0] != rgb[2]) return false;
  }
  return true;
}

absl::Status CheckDecodedSize(const char* format, int64_t width, int64_t height,
                              const DecodeLimits& limits) {
  if (width < 1 || height < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(format, " is ", width, " x ", height, " pixels: there are none"));
  }
  if (width > limits.max_side || height > limits.max_side) {
    return absl::OutOfRangeError(absl::StrCat(format, " is ", width, " x ", height,
                                              " pixels, more than ", limits.max_side,
                                              " to a side"));
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
