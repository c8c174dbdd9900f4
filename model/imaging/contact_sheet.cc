#include "model/imaging/contact_sheet.h"

#include <algorithm>
#include <cstddef>

namespace diffusiond {
namespace {

void Place(const Image& image, int left, int top, Image* sheet) {
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* from = image.pixels.data() + size_t(y) * image.width * image.channels;
    uint8_t* to = sheet->pixels.data() + (size_t(top + y) * sheet->width + left) * sheet->channels;
    if (image.channels == sheet->channels) {
      std::copy_n(from, size_t(image.width) * image.channels, to);
    } else {
      for (int x = 0; x < image.width; ++x) std::fill_n(to + size_t(x) * 3, 3, from[x]);
    }
  }
}

}  // namespace

Image ContactSheet(std::span<const Image> images, int columns, int gap, uint8_t background) {
  if (images.empty()) return {};
  const int count = static_cast<int>(images.size());
  columns = std::clamp(columns, 1, count);
  gap = std::max(gap, 0);
  const int rows = (count + columns - 1) / columns;

  int cell_width = 0;
  int cell_height = 0;
  int channels = 1;
  for (const Image& image : images) {
    if (!CheckImage(image).ok()) continue;
    cell_width = std::max(cell_width, image.width);
    cell_height = std::max(cell_height, image.height);
    channels = std::max(channels, image.channels);
  }
  if (cell_width == 0) return {};

  Image sheet{.width = gap + columns * (cell_width + gap),
              .height = gap + rows * (cell_height + gap),
              .channels = channels,
              .pixels = {}};
  sheet.pixels.assign(size_t(sheet.width) * sheet.height * channels, background);
  for (int i = 0; i < count; ++i) {
    if (!CheckImage(images[i]).ok()) continue;
    Place(images[i], gap + i % columns * (cell_width + gap),
          gap + i / columns * (cell_height + gap), &sheet);
  }
  return sheet;
}

}  // namespace diffusiond
