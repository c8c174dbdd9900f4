// The denoising of images as one picture: previews from left to right, the finished image last.
#ifndef DIFFUSIOND_CLIENT_FILM_STRIP_H_
#define DIFFUSIOND_CLIENT_FILM_STRIP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "client/picture_labels.h"
#include "model/imaging/image.h"

namespace diffusiond {

// What one image went through. Previews by steps_done; either map may be empty.
struct FilmReel {
  std::map<uint32_t, Image> x_t = {};
  std::map<uint32_t, Image> x0_hat = {};
  Image image = {};
};

struct FilmStripOptions {
  int max_frames = 10;  // Beside the finished image; at least 1. More previews: evenly chosen.
  int min_side = 84;    // Pixels; smaller frames are enlarged by a whole factor.
  int gap = 4;          // Pixels between and around frames.
  // Above all: the caption; above frames: "x_t 5" and "x0 5" after five steps; above images their
  // index. Absent: no words.
  std::optional<PictureLabels> labels = std::nullopt;
};

// A row for each kind of preview that a reel has, x_t above x0-hat, reels below each other; a reel
// without previews is one row with its image alone at the right. No reels: an empty image. Labels
// are left out where they would make the picture larger than kMaxImageSide.
Image ComposeFilmStrip(std::span<const FilmReel> reels, const FilmStripOptions& options);

// `images` in as square a sheet as their number allows, small ones enlarged and labelled as above.
Image ComposeSheet(std::span<const Image> images, const std::optional<PictureLabels>& labels = {},
                   int min_side = 84);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_FILM_STRIP_H_
