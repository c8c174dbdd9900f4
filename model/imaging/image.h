// An 8-bit picture in memory, and the mapping between it and the model's range.
#ifndef DIFFUSIOND_MODEL_IMAGING_IMAGE_H_
#define DIFFUSIOND_MODEL_IMAGING_IMAGE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace diffusiond {

// Longest side, in pixels, that the codecs write and, unless told less, read. An RGB picture of
// this size is 192 MiB; the check comes before that is allocated.
inline constexpr int kMaxImageSide = 8192;

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

// Value v becomes round(clamp(v / 2 + 0.5, 0, 1) * 255), ties to even, in float32: the bytes that
// numpy and diffusers give. NaN becomes 0. A frame of one or two channels gives a grey image of its
// first, one of three or more an RGB image of its first three. A frame without pixels, or whose
// values do not fill its shape, gives an empty image (0 x 0), which no encoder accepts.
Image ToImage(const Frame& frame);

// Byte b becomes b / 127.5 - 1. ToImage undoes it exactly. An image that CheckImage refuses gives
// an empty frame.
Frame ToFrame(const Image& image);

// InvalidArgument unless `image` has 1 or 3 channels, sides in 1 .. kMaxImageSide and exactly as
// many pixel bytes as that takes. Every encoder begins with it.
absl::Status CheckImage(const Image& image);

// Blends [H, W, C] bytes of `channels` (1 or 3) colour channels, each pixel followed by its
// (straight) alpha, over white, in the encoded values as they are, rounded to nearest.
// `with_alpha` holds width * height * (channels + 1) bytes.
Image OverWhite(int width, int height, int channels, std::span<const uint8_t> with_alpha);

// The luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), rounded, as Pillow's "L"; of R = G = B
// just that. A grey image comes back as it is.
Image ToGrey(const Image& image);

// Whether R = G = B everywhere.
bool HasNoColour(const Image& image);

// What a decoder may be made to allocate by a file's header.
struct DecodeLimits {
  int max_side = kMaxImageSide;  // In pixels, at least 1.
};

// Errors name `format` and the size. OutOfRange above limits.max_side: the picture may be as good
// as any; InvalidArgument below 1.
absl::Status CheckDecodedSize(const char* format, int64_t width, int64_t height,
                              const DecodeLimits& limits);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_IMAGE_H_
