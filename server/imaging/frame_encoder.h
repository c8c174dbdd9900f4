// One frame to the bytes of one image file.
#ifndef DIFFUSIOND_SERVER_IMAGING_FRAME_ENCODER_H_
#define DIFFUSIOND_SERVER_IMAGING_FRAME_ENCODER_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"

namespace diffusiond {

enum class ImageEncoding {
  kPng,
  kWebp,        // Lossless.
  kJpeg,        // Quality 95.
  kRawFloat32,  // [C, H, W] little-endian float32 as the model drew it; any number of channels.
};

struct EncodeOptions {
  ImageEncoding encoding = ImageEncoding::kPng;
  // Longest side in pixels; a larger frame is reduced by an integer factor. 0: not reduced.
  // Not for kRawFloat32.
  int max_side = 0;
  // Whether to fill EncodedFrame::sha256.
  bool digest = false;
};

struct EncodedFrame {
  std::string data;
  int width = 0;  // After reduction.
  int height = 0;
  std::string sha256;  // Of data, lower-case hexadecimal; empty if not asked for.
};

// Equal frames and options give equal bytes. INVALID_ARGUMENT: `frame` is inconsistent, or the
// encoding cannot carry its channels or size.
absl::StatusOr<EncodedFrame> EncodeFrame(const Frame& frame, const EncodeOptions& options);

// "png", "webp", "jpeg", "raw_float32".
const char* EncodingName(ImageEncoding encoding);

// Whether EncodeFrame can carry frames of this many channels.
bool CanEncode(ImageEncoding encoding, int channels);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_IMAGING_FRAME_ENCODER_H_
