// An 8-bit picture in memory, and the mapping between it and the model's range.
#ifndef DIFFUSIOND_MODEL_IMAGING_IMAGE_H_
#define DIFFUSIOND_MODEL_IMAGING_IMAGE_H_

#include <cstdint>
#include <span>
#include <vector>

namespace diffusiond {

// What a model draws: [C, H, W] row-major float32, nominally in [-1, 1].
struct Frame {
  int channels = 0;
  int height = 0;
  int width = 0;
  std::vector<float> values;
};

// [H, W, C] row-major bytes; C is 1 (grey) or 3 (RGB).
struct Image {
  int width = 0;
  int height = 0;
  int channels = 0;
  std::vector<uint8_t> pixels;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_IMAGE_H_
