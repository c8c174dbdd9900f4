#include "model/diffusion/level_decoder.h"

#include <algorithm>
#include <cmath>

namespace diffusiond {

LevelDecoderNats DecodeLevels(double gamma_0) {
  constexpr double kNodeStep = 0.75, kMostEps = 5.25;
  constexpr double kFar = 9;  // Deviations from z_0 at which a level has no share.
  // One level to the next in deviations of the noise.
  const double spacing = std::exp(-gamma_0 / 2) / 127.5;
  const int reach = static_cast<int>(std::min(255.0, std::ceil((kMostEps + kFar) / spacing)));
  LevelDecoderNats nats;
  for (int level = 0; level < kByteLevels / 2; ++level) {
    double value = 0, slope = 0, total = 0;
    const int first = std::max(-reach, -level), last = std::min(reach, kByteLevels - 1 - level);
    for (double eps = -kMostEps; eps <= kMostEps; eps += kNodeStep) {
      double sum = 0, moment = 0;
      for (int other = first; other <= last; ++other) {
        const double distance = eps - other * spacing;
        const double density = std::exp((eps - distance) * (eps + distance) / 2);
        sum += density;
        moment -= density * distance * other;
      }
      const double weight = std::exp(-eps * eps / 2);
      total += weight;
      value += weight * std::log(sum);
      slope += weight * moment / sum * spacing / 2;
    }
    // The levels are symmetric.
    const size_t low = static_cast<size_t>(level), high = kByteLevels - 1 - low;
    nats.value[low] = nats.value[high] = value / total;
    nats.slope[low] = nats.slope[high] = slope / total;
  }
  return nats;
}

}  // namespace diffusiond
