// Larger and smaller pictures, by whole factors.
#ifndef DIFFUSIOND_MODEL_IMAGING_RESIZE_H_
#define DIFFUSIOND_MODEL_IMAGING_RESIZE_H_

#include "model/imaging/image.h"

namespace diffusiond {

// Each pixel becomes a square of `factor` x `factor` (at least 1) pixels.
Image Upscale(const Image& image, int factor);

// PreviewOptions.max_side: a picture whose longest side is over `max_side` is reduced by the least
// integer factor f that fits it, each pixel the mean of an f x f box; boxes at the right and bottom
// edges average what is there, so a side becomes ceil(side / f). Others, and all when `max_side` is
// 0 or less, come back as they are. Bytes are rounded to nearest, ties up. Reduce a Frame before
// ToImage rather than the Image after it: it is cheaper and rounds once.
Image Reduce(const Image& image, int max_side);
Frame Reduce(const Frame& frame, int max_side);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_RESIZE_H_
