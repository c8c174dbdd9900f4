#include "model/imaging/resample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace diffusiond {
namespace {

// Weights are whole multiples of 2^-kBits. 8192 of them times 255 stay far below 2^63.
constexpr int kBits = 22;

// What one pixel of the result is made of, along one side.
struct Window {
  int begin = 0;
  std::vector<int64_t> weights;  // They sum to 2^kBits.
};

// Pixel centres lie at halves.
std::vector<Window> Windows(int from, int to) {
  const double scale = static_cast<double>(from) / to;
  const double reach = std::max(scale, 1.0);
  std::vector<Window> windows(static_cast<size_t>(to));
  for (int i = 0; i < to; ++i) {
    Window& window = windows[static_cast<size_t>(i)];
    const double centre = (i + 0.5) * scale;
    window.begin = std::max(static_cast<int>(std::floor(centre - reach)), 0);
    const int end = std::min(static_cast<int>(std::ceil(centre + reach)), from);
    std::vector<double> heights;
    double sum = 0;
    for (int x = window.begin; x < end; ++x) {
      heights.push_back(std::max(1 - std::abs(x + 0.5 - centre) / reach, 0.0));
      sum += heights.back();
    }
    int64_t total = 0;
    for (const double height : heights) {
      window.weights.push_back(std::llround(height / sum * (1 << kBits)));
      total += window.weights.back();
    }
    // What rounding left over goes where it is seen least.
    *std::max_element(window.weights.begin(), window.weights.end()) += (1 << kBits) - total;
  }
  return windows;
}

// Along rows, and exchanges rows and columns: twice is along both.
Image ResampleRowsTransposed(const Image& image, int width) {
  const std::vector<Window> windows = Windows(image.width, width);
  Image out{.width = image.height, .height = width, .channels = image.channels, .pixels = {}};
  out.pixels.resize(size_t(out.width) * out.height * out.channels);
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t y = 0; y < size_t(image.height); ++y) {
    const uint8_t* row = image.pixels.data() + y * size_t(image.width) * channels;
    for (size_t x = 0; x < size_t(width); ++x) {
      const Window& window = windows[x];
      for (size_t c = 0; c < channels; ++c) {
        int64_t sum = int64_t{1} << (kBits - 1);
        const uint8_t* from = row + size_t(window.begin) * channels + c;
        for (const int64_t weight : window.weights) {
          sum += weight * *from;
          from += channels;
        }
        out.pixels[(x * size_t(out.width) + y) * channels + c] = static_cast<uint8_t>(sum >> kBits);
      }
    }
  }
  return out;
}

// length * to / from, rounded, at least 1.
int Scaled(int64_t length, int64_t to, int64_t from) {
  const int64_t scaled = (2 * length * to + from) / (2 * from);
  return static_cast<int>(std::clamp<int64_t>(scaled, 1, std::numeric_limits<int>::max()));
}

}  // namespace

Image Resample(const Image& image, int width, int height) {
  if ((image.width == width && image.height == height) || !CheckImage(image).ok()) return image;
  return ResampleRowsTransposed(ResampleRowsTransposed(image, width), height);
}

Image ResampleSmallerSide(const Image& image, int side) {
  if (!CheckImage(image).ok()) return image;
  const int smaller = std::min(image.width, image.height);
  return Resample(image, Scaled(image.width, side, smaller), Scaled(image.height, side, smaller));
}

Image CenterCrop(const Image& image, int width, int height) {
  if (image.width == width && image.height == height) return image;
  Image out{.width = width, .height = height, .channels = image.channels, .pixels = {}};
  const auto channels = static_cast<size_t>(image.channels);
  const auto left = static_cast<size_t>(image.width - width) / 2;
  const auto top = static_cast<size_t>(image.height - height) / 2;
  out.pixels.reserve(size_t(width) * size_t(height) * channels);
  for (size_t y = 0; y < size_t(height); ++y) {
    const uint8_t* row = image.pixels.data() + ((top + y) * size_t(image.width) + left) * channels;
    out.pixels.insert(out.pixels.end(), row, row + size_t(width) * channels);
  }
  return out;
}

Image Cover(const Image& image, int width, int height) {
  if (!CheckImage(image).ok()) return image;
  const int across = Scaled(image.height, width, height);
  const int along = Scaled(image.width, height, width);
  return Resample(CenterCrop(image, std::min(image.width, across), std::min(image.height, along)),
                  width, height);
}

Image Contain(const Image& image, int width, int height) {
  if (!CheckImage(image).ok()) return image;
  Image inner = Resample(image, std::min(width, Scaled(height, image.width, image.height)),
                         std::min(height, Scaled(width, image.height, image.width)));
  if (inner.width == width && inner.height == height) return inner;
  Image out{.width = width, .height = height, .channels = image.channels, .pixels = {}};
  const auto channels = static_cast<size_t>(image.channels);
  const int left = (width - inner.width) / 2, top = (height - inner.height) / 2;
  out.pixels.reserve(size_t(width) * size_t(height) * channels);
  for (int y = 0; y < height; ++y) {
    const auto from_y = static_cast<size_t>(std::clamp(y - top, 0, inner.height - 1));
    for (int x = 0; x < width; ++x) {
      const auto from_x = static_cast<size_t>(std::clamp(x - left, 0, inner.width - 1));
      const uint8_t* pixel =
          inner.pixels.data() + (from_y * size_t(inner.width) + from_x) * channels;
      out.pixels.insert(out.pixels.end(), pixel, pixel + channels);
    }
  }
  return out;
}

}  // namespace diffusiond
