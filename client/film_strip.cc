#include "client/film_strip.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/imaging/contact_sheet.h"
#include "model/imaging/resize.h"

namespace diffusiond {
namespace {

// Dark, so that frames of any content have an edge.
constexpr LabelStyle kFilm = {.paper = 24, .ink = 232};

Image Enlarge(const Image& image, int min_side) {
  const int side = std::max({1, image.width, image.height});
  return Upscale(image, std::max(1, min_side / side));
}

// `count` of the frames, evenly spaced, first and last included; repeats some where there are
// fewer. By steps_done.
std::vector<std::pair<uint32_t, const Image*>> Choose(const std::map<uint32_t, Image>& frames,
                                                      int count) {
  std::vector<std::pair<uint32_t, const Image*>> all, chosen;
  for (const auto& [steps_done, image] : frames) all.emplace_back(steps_done, &image);
  for (int i = 0; i < count; ++i) {
    const double position =
        count == 1 ? 0 : static_cast<double>(i) * static_cast<double>(all.size() - 1) / (count - 1);
    chosen.push_back(all[static_cast<size_t>(std::lround(position))]);
  }
  return chosen;
}

// Pictures beside and below each other, each with what stands above it.
struct Cells {
  std::vector<Image> images;
  std::vector<std::string> labels;

  void Add(Image image, std::string label) {
    images.push_back(std::move(image));
    labels.push_back(std::move(label));
  }
};

// As wide as the narrowest picture allows.
int ScaleOf(const Cells& cells) {
  int width = kMaxImageSide;
  for (const Image& image : cells.images) {
    if (!image.pixels.empty()) width = std::min(width, image.width);
  }
  return LabelScale(cells.labels, width);
}

Image Compose(const Cells& cells, int columns, int gap, LabelStyle style,
              const std::optional<PictureLabels>& labels) {
  if (labels.has_value()) {
    const int scale = ScaleOf(cells);
    std::vector<Image> labelled;
    for (size_t i = 0; i < cells.images.size(); ++i) {
      labelled.push_back(WithLabel(cells.images[i], cells.labels[i], scale, style));
    }
    Image image =
        WithCaption(ContactSheet(labelled, columns, gap, style.paper), labels->caption, gap, style);
    if (CheckImage(image).ok()) return image;
  }
  return ContactSheet(cells.images, columns, gap, style.paper);
}

uint32_t FirstIndex(const std::optional<PictureLabels>& labels) {
  return labels.has_value() ? labels->first_image_index : 0;
}

}  // namespace

Image ComposeFilmStrip(std::span<const FilmReel> reels, const FilmStripOptions& options) {
  size_t most = 0;
  for (const FilmReel& reel : reels) most = std::max({most, reel.x_t.size(), reel.x0_hat.size()});
  const int frames = static_cast<int>(std::min<size_t>(most, options.max_frames));

  Cells cells;
  uint32_t index = FirstIndex(options.labels);
  const auto add_row = [&](const std::map<uint32_t, Image>& row, absl::string_view kind,
                           const Image& image) {
    if (row.empty()) {
      // Empty images leave their cells empty.
      for (int i = 0; i < frames; ++i) cells.Add({}, "");
    } else {
      for (const auto& [steps_done, frame] : Choose(row, frames)) {
        cells.Add(Enlarge(*frame, options.min_side), absl::StrCat(kind, " ", steps_done));
      }
    }
    cells.Add(Enlarge(image, options.min_side), IndexLabel(index));
  };
  for (const FilmReel& reel : reels) {
    if (!reel.x_t.empty()) add_row(reel.x_t, "x_t", reel.image);
    if (!reel.x0_hat.empty() || reel.x_t.empty()) add_row(reel.x0_hat, "x0", reel.image);
    ++index;
  }
  return Compose(cells, frames + 1, options.gap, kFilm, options.labels);
}

Image ComposeSheet(std::span<const Image> images, const std::optional<PictureLabels>& labels,
                   int min_side) {
  Cells cells;
  uint32_t index = FirstIndex(labels);
  for (const Image& image : images) cells.Add(Enlarge(image, min_side), IndexLabel(index++));
  // Four beside each other rather than two by two: sheets are read in lines.
  const int square = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(images.size()))));
  const int columns = images.size() <= 8 ? static_cast<int>(images.size()) : square;
  return Compose(cells, std::max(1, columns), 4, {}, labels);
}

}  // namespace diffusiond
