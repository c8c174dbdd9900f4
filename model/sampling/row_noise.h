// The noise of a draw, addressed rather than drawn: z depends on (seed, image, row, element) only,
// so it is the same in every batch, on every worker, and after a resume.
#ifndef DIFFUSIOND_MODEL_SAMPLING_ROW_NOISE_H_
#define DIFFUSIOND_MODEL_SAMPLING_ROW_NOISE_H_

#include <cstdint>
#include <functional>
#include <span>

namespace diffusiond {

// Fills z with independent N(0, 1): Philox 4x32-10 with key = seed and counter =
// (element / 4, row, image_index, stream), then Box-Muller on pairs, in double. `stream` keeps uses
// apart: 0 is sampling; training takes others.
void FillRowNoise(uint64_t seed, uint32_t image_index, uint32_t row, std::span<float> z,
                  uint32_t stream = 0);

// Fills z with the noise of one row of one image, as FillRowNoise does: for a draw that repeats
// what another implementation drew. Called from several threads at once.
using RowNoise =
    std::function<void(uint64_t seed, uint32_t image_index, uint32_t row, std::span<float> z)>;

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_ROW_NOISE_H_
