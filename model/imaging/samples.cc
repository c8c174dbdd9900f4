#include "model/imaging/samples.h"

#include <utility>

#include "model/imaging/exif.h"

namespace diffusiond {

Image ColoursOf(PictureSamples samples) {
  if (samples.has_alpha()) {
    return Upright(OverWhite(samples.width, samples.height, samples.channels - 1, samples.bytes),
                   samples.orientation);
  }
  return Upright({.width = samples.width,
                  .height = samples.height,
                  .channels = samples.channels,
                  .pixels = std::move(samples.bytes)},
                 samples.orientation);
}

Image TransparencyOf(const PictureSamples& samples) {
  Image image{.width = samples.width, .height = samples.height, .channels = 1, .pixels = {}};
  const auto channels = static_cast<size_t>(samples.channels);
  image.pixels.reserve(samples.bytes.size() / channels);
  for (size_t i = channels - 1; i < samples.bytes.size(); i += channels) {
    image.pixels.push_back(static_cast<uint8_t>(255 - samples.bytes[i]));
  }
  return Upright(std::move(image), samples.orientation);
}

}  // namespace diffusiond
