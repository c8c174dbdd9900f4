// What a decoder reads of a file, before alpha is made something of.
#ifndef DIFFUSIOND_MODEL_IMAGING_SAMPLES_H_
#define DIFFUSIOND_MODEL_IMAGING_SAMPLES_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"

namespace diffusiond {

// [H, W, C] row-major bytes; with alpha C is 2 (grey) or 4 (RGB), its last channel straight alpha.
struct PictureSamples {
  int width = 0;
  int height = 0;
  int channels = 0;
  std::vector<uint8_t> bytes;
  int orientation = 1;  // As Upright has it.

  bool has_alpha() const { return channels % 2 == 0; }
};

// Errors as DecodePng and DecodeWebp have them.
absl::StatusOr<PictureSamples> ReadPngSamples(std::string_view bytes, const DecodeLimits& limits);
absl::StatusOr<PictureSamples> ReadWebpSamples(std::string_view bytes, const DecodeLimits& limits);

// Alpha laid on white, turned upright.
Image ColoursOf(PictureSamples samples);
// 255 - alpha, grey, turned upright. Only with alpha.
Image TransparencyOf(const PictureSamples& samples);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_SAMPLES_H_
