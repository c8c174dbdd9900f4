// Pictures for tests.
#ifndef DIFFUSIOND_TESTS_MODEL_IMAGING_TEST_IMAGE_H_
#define DIFFUSIOND_TESTS_MODEL_IMAGING_TEST_IMAGE_H_

#include <cstddef>
#include <cstdint>

#include "model/imaging/image.h"

namespace diffusiond {

// Noise: no two neighbours alike, so a transposed, shifted or swapped channel shows.
inline Image NoiseImage(int width, int height, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  image.pixels.resize(size_t(width) * height * channels);
  uint32_t state = 12345;
  for (uint8_t& byte : image.pixels) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return image;
}

// Smooth: what a lossy codec keeps nearly as it is.
inline Image GradientImage(int width, int height, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(
            static_cast<uint8_t>(40 + 90 * x / width + (60 + 20 * c) * y / height));
      }
    }
  }
  return image;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_IMAGING_TEST_IMAGE_H_
