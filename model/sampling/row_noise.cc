#include "model/sampling/row_noise.h"

#include <array>
#include <cmath>

#include "model/sampling/philox.h"

namespace diffusiond {

void FillRowNoise(uint64_t seed, uint32_t image_index, uint32_t row, std::span<float> z,
                  uint32_t stream) {
  constexpr double kTwoPi = 6.28318530717958647692;
  constexpr double kUnit = 1.0 / 4294967296.0;  // 2^-32
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed),
                                       static_cast<uint32_t>(seed >> 32)};
  for (size_t i = 0; i < z.size(); i += 4) {
    const std::array<uint32_t, 4> random =
        Philox4x32({static_cast<uint32_t>(i / 4), row, image_index, stream}, key);
    float normal[4];
    for (int pair = 0; pair < 2; ++pair) {
      // The half keeps the logarithm's argument inside (0, 1).
      const double radius = std::sqrt(-2 * std::log((random[2 * pair] + 0.5) * kUnit));
      const double angle = kTwoPi * (random[2 * pair + 1] * kUnit);
      normal[2 * pair] = static_cast<float>(radius * std::cos(angle));
      normal[2 * pair + 1] = static_cast<float>(radius * std::sin(angle));
    }
    for (size_t j = 0; j < 4 && i + j < z.size(); ++j) z[i + j] = normal[j];
  }
}

}  // namespace diffusiond
