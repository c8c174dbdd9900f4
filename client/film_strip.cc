#include "client/film_strip.h"

#include <algorithm>
#include <cmath>

#include "model/imaging/contact_sheet.h"
#include "model/imaging/resize.h"

namespace diffusiond {
namespace {

constexpr uint8_t kFilmBase = 24;  // Dark, so that frames of any content have an edge.

Image Enlarge(const Image& image, int min_side) {
  const int side = std::max({1, image.width, image.height});
  return Upscale(image, std::max(1, min_side / side));
}

// `count` of the frames, evenly spaced, first and last included; repeats some where there are
// fewer.
std::vector<const Image*> Choose(const std::map<uint32_t, Image>& frames, int count) {
  std::vector<const Image*> all;
  for (const auto& [steps_done, image] : frames) all.push_back(&image);
  std::vector<const Image*> chosen;
  for (int i = 0; i < count; ++i) {
    const double position =
        count == 1 ? 0 : static_cast<double>(i) * static_cast<double>(all.size() - 1) / (count - 1);
    chosen.push_back(all[static_cast<size_t>(std::lround(position))]);
  }
  return chosen;
}

}  // namespace

Image ComposeFilmStrip(std::span<const FilmReel> reels, const FilmStripOptions& options) {
  size_t most = 0;
  for (const FilmReel& reel : reels) most = std::max({most, reel.x_t.size(), reel.x0_hat.size()});
  const int frames = static_cast<int>(std::min<size_t>(most, options.max_frames));

  std::vector<Image> cells;
  const auto add_row = [&](const std::map<uint32_t, Image>& row, const Image& image) {
    if (row.empty()) {
      cells.resize(cells.size() + frames);  // Empty images leave their cells empty.
    } else {
      for (const Image* frame : Choose(row, frames)) {
        cells.push_back(Enlarge(*frame, options.min_side));
      }
    }
    cells.push_back(Enlarge(image, options.min_side));
  };
  for (const FilmReel& reel : reels) {
    if (!reel.x_t.empty()) add_row(reel.x_t, reel.image);
    if (!reel.x0_hat.empty() || reel.x_t.empty()) add_row(reel.x0_hat, reel.image);
  }
  return ContactSheet(cells, frames + 1, options.gap, kFilmBase);
}

Image ComposeSheet(std::span<const Image> images, int min_side) {
  std::vector<Image> cells;
  for (const Image& image : images) cells.push_back(Enlarge(image, min_side));
  // Four beside each other rather than two by two: sheets are read in lines.
  const int square = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(images.size()))));
  const int columns = images.size() <= 8 ? static_cast<int>(images.size()) : square;
  return ContactSheet(cells, std::max(1, columns), 4);
}

}  // namespace diffusiond
