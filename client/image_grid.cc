#include "client/image_grid.h"

#include <algorithm>

#include "client/bitmap_text.h"
#include "model/imaging/resize.h"

namespace diffusiond {
namespace {

constexpr int kGap = 4;  // Pixels between and around images and labels.
constexpr int kTextScale = 2;
constexpr uint8_t kPaper = 255;
constexpr uint8_t kInk = 0;

// Pixels across of the longest; 0: all are empty.
int WidthOf(const std::vector<std::string>& labels) {
  size_t longest = 0;
  for (const std::string& label : labels) longest = std::max(longest, label.size());
  return static_cast<int>(longest) * kLetterWidth * kTextScale;
}

Image Paper(int width, int height, int channels) {
  return {width, height, channels,
          std::vector<uint8_t>(static_cast<size_t>(width) * height * channels, kPaper)};
}

void Paste(const Image& from, int x, int y, Image* to) {
  for (int row = 0; row < from.height; ++row) {
    for (int column = 0; column < from.width; ++column) {
      for (int c = 0; c < to->channels; ++c) {
        const int channel = from.channels == 1 ? 0 : c;
        to->pixels[(static_cast<size_t>(y + row) * to->width + x + column) * to->channels + c] =
            from.pixels[(static_cast<size_t>(row) * from.width + column) * from.channels + channel];
      }
    }
  }
}

}  // namespace

Image ComposeGrid(std::span<const Image> images, const std::vector<std::string>& columns,
                  const std::vector<std::string>& rows, int min_side) {
  std::vector<Image> cells;
  int width = WidthOf(columns), height = kLetterHeight * kTextScale, channels = 1;
  for (const Image& image : images) {
    const int side = std::max({1, image.width, image.height});
    const Image& cell = cells.emplace_back(Upscale(image, std::max(1, min_side / side)));
    width = std::max(width, cell.width);
    height = std::max(height, cell.height);
    channels = std::max(channels, cell.channels);
  }
  const int left = WidthOf(rows) > 0 ? WidthOf(rows) + 2 * kGap : kGap;
  const int top = WidthOf(columns) > 0 ? kLetterHeight * kTextScale + 2 * kGap : kGap;
  Image grid = Paper(left + static_cast<int>(columns.size()) * (width + kGap),
                     top + static_cast<int>(rows.size()) * (height + kGap), channels);
  for (size_t i = 0; i < columns.size(); ++i) {
    const int x = left + static_cast<int>(i) * (width + kGap);
    DrawText(columns[i], x, kGap, kTextScale, kInk, &grid);
  }
  for (size_t j = 0; j < rows.size(); ++j) {
    const int y = top + static_cast<int>(j) * (height + kGap);
    DrawText(rows[j], kGap, y + (height - kLetterHeight * kTextScale) / 2, kTextScale, kInk, &grid);
    for (size_t i = 0; i < columns.size() && j * columns.size() + i < cells.size(); ++i) {
      Paste(cells[j * columns.size() + i], left + static_cast<int>(i) * (width + kGap), y, &grid);
    }
  }
  return grid;
}

}  // namespace diffusiond
