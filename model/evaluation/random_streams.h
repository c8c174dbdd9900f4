// The random numbers of evaluations, addressed rather than drawn.
#ifndef DIFFUSIOND_MODEL_EVALUATION_RANDOM_STREAMS_H_
#define DIFFUSIOND_MODEL_EVALUATION_RANDOM_STREAMS_H_

#include <cstdint>

#include "model/sampling/philox.h"

namespace diffusiond {

// Streams of Philox (see row_noise.h); sampling and training take 0 to 3.
inline constexpr uint32_t kDiffusionStream = 16;       // eps of x_t, by (image, t).
inline constexpr uint32_t kStratumStream = 17;         // Timesteps, by (image, stratum).
inline constexpr uint32_t kDequantisationStream = 18;  // By (image, element).
inline constexpr uint32_t kProbeStream = 19;           // Hutchinson's, by (image, probe, element).

// Uniform in (0, 1), with 32 bits.
inline double EvaluationUniform(uint64_t seed, uint32_t stream, int64_t image, int64_t index) {
  const auto random =
      Philox4x32({static_cast<uint32_t>(index), 0, static_cast<uint32_t>(image), stream},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return (random[0] + 0.5) / 4294967296.0;  // 2^32
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_RANDOM_STREAMS_H_
