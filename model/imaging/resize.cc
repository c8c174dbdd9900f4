#include "model/imaging/resize.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace diffusiond {
namespace {

int ReductionFactor(int width, int height, int max_side) {
  const int longest = std::max(width, height);
  return max_side <= 0 || longest <= max_side ? 1 : (longest + max_side - 1) / max_side;
}

int Reduced(int side, int factor) { return (side + factor - 1) / factor; }

// Calls emit(sum, count) for each box of one channel, row by row. Pixels of a row lie `step` apart.
template <typename Sum, typename Value, typename Emit>
void SumBoxes(const Value* values, int width, int height, int step, int factor, Emit emit) {
  for (int top = 0; top < height; top += factor) {
    const int bottom = std::min(top + factor, height);
    for (int left = 0; left < width; left += factor) {
      const int right = std::min(left + factor, width);
      Sum sum = 0;
      for (int y = top; y < bottom; ++y) {
        const Value* row = values + size_t(y) * width * step;
        for (int x = left; x < right; ++x) sum += row[size_t(x) * step];
      }
      emit(sum, (bottom - top) * (right - left));
    }
  }
}

}  // namespace

Image Upscale(const Image& image, int factor) {
  if (factor <= 1 || !CheckImage(image).ok()) return image;
  Image out{.width = image.width * factor,
            .height = image.height * factor,
            .channels = image.channels,
            .pixels = {}};
  const size_t stride = size_t(out.width) * out.channels;
  out.pixels.resize(stride * out.height);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* from = image.pixels.data() + size_t(y) * image.width * image.channels;
    uint8_t* const first_row = out.pixels.data() + size_t(y) * factor * stride;
    uint8_t* to = first_row;
    for (int x = 0; x < image.width; ++x, from += image.channels) {
      for (int i = 0; i < factor; ++i) to = std::copy_n(from, image.channels, to);
    }
    for (int i = 1; i < factor; ++i) std::copy_n(first_row, stride, first_row + i * stride);
  }
  return out;
}

Image Reduce(const Image& image, int max_side) {
  const int factor = ReductionFactor(image.width, image.height, max_side);
  if (factor == 1 || !CheckImage(image).ok()) return image;
  Image out{.width = Reduced(image.width, factor),
            .height = Reduced(image.height, factor),
            .channels = image.channels,
            .pixels = {}};
  out.pixels.resize(size_t(out.width) * out.height * out.channels);
  for (int channel = 0; channel < image.channels; ++channel) {
    uint8_t* to = out.pixels.data() + channel;
    SumBoxes<uint64_t>(image.pixels.data() + channel, image.width, image.height, image.channels,
                       factor, [&](uint64_t sum, int count) {
                         *to = static_cast<uint8_t>((sum + count / 2) / count);
                         to += out.channels;
                       });
  }
  return out;
}

Frame Reduce(const Frame& frame, int max_side) {
  const int factor = ReductionFactor(frame.width, frame.height, max_side);
  const size_t plane = size_t(std::max(frame.width, 0)) * std::max(frame.height, 0);
  if (factor == 1 || frame.channels < 1 || frame.values.size() != plane * frame.channels) {
    return frame;
  }
  Frame out{.channels = frame.channels,
            .height = Reduced(frame.height, factor),
            .width = Reduced(frame.width, factor),
            .values = {}};
  out.values.reserve(size_t(out.width) * out.height * out.channels);
  for (int channel = 0; channel < frame.channels; ++channel) {
    SumBoxes<double>(
        frame.values.data() + channel * plane, frame.width, frame.height, 1, factor,
        [&](double sum, int count) { out.values.push_back(static_cast<float>(sum / count)); });
  }
  return out;
}

}  // namespace diffusiond
