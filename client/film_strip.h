// The denoising of images as one picture: previews from left to right, the finished image last.
#ifndef DIFFUSIOND_CLIENT_FILM_STRIP_H_
#define DIFFUSIOND_CLIENT_FILM_STRIP_H_

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "diffusiond/v1/diffusion.pb.h"
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
};

// A row for each kind of preview that a reel has, x_t above x0-hat, reels below each other; a reel
// without previews is one row with its image alone at the right. No reels: an empty image.
Image ComposeFilmStrip(std::span<const FilmReel> reels, const FilmStripOptions& options);

// `images` in as square a sheet as their number allows, small ones enlarged as above.
Image ComposeSheet(std::span<const Image> images, int min_side = 84);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_FILM_STRIP_H_
