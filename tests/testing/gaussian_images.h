// Images whose pixels are independent N(mean, deviation^2), cut to bytes: their entropy is known.
#ifndef DIFFUSIOND_TESTS_TESTING_GAUSSIAN_IMAGES_H_
#define DIFFUSIOND_TESTS_TESTING_GAUSSIAN_IMAGES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "model/sampling/row_noise.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

struct GaussianPixels {
  double mean = 0;
  double deviation = 0.2;  // In [-1, 1]; wide against a byte's step of 2/255.
};

inline ImageDataset GaussianImages(int64_t count, int side, const GaussianPixels& pixels) {
  ImageDataset data;
  data.channels = 1;
  data.height = data.width = side;
  std::vector<float> noise(static_cast<size_t>(count * side * side));
  FillRowNoise(/*seed=*/77, 0, 0, noise);
  for (const float z : noise) {
    const double x = pixels.mean + pixels.deviation * z;
    data.pixels.push_back(
        static_cast<uint8_t>(std::clamp(std::round((x + 1) * 127.5), 0.0, 255.0)));
  }
  data.digest = DigestOf(data);
  return data;
}

// Of one pixel: the differential entropy of the density, less the logarithm of a byte's step.
inline double EntropyBitsPerPixel(const GaussianPixels& pixels) {
  return 0.5 * std::log2(2 * std::numbers::pi * std::numbers::e * pixels.deviation *
                         pixels.deviation) -
         std::log2(2.0 / 255);
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_GAUSSIAN_IMAGES_H_
