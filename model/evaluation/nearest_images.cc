#include "model/evaluation/nearest_images.h"

#include <cmath>
#include <limits>

namespace diffusiond {

NearestImage FindNearest(const ImageDataset& data, const Frame& image) {
  NearestImage nearest;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t index = 0; index < data.size(); ++index) {
    const auto bytes = data.image(index);
    double sum = 0;
    for (size_t i = 0; i < bytes.size() && sum < least; ++i) {
      const double difference = image.values[i] - (bytes[i] / 127.5 - 1);
      sum += difference * difference;
    }
    if (sum < least) {
      least = sum;
      nearest.index = index;
    }
  }
  nearest.rms = std::sqrt(least / static_cast<double>(image.values.size()));
  return nearest;
}

}  // namespace diffusiond
