// Pictures of any size to any size.
#ifndef DIFFUSIOND_MODEL_IMAGING_RESAMPLE_H_
#define DIFFUSIOND_MODEL_IMAGING_RESAMPLE_H_

#include "model/imaging/image.h"

namespace diffusiond {

// `image` in `width` x `height` pixels (each in 1 .. kMaxImageSide), by a triangle that is as wide
// as it takes to weigh every pixel when it shrinks (antialiased) and interpolates between two when
// it grows: what Pillow and torchvision call bilinear. In whole numbers, so the same on every
// machine. The same size, and an image that CheckImage refuses, come back as they are.
Image Resample(const Image& image, int width, int height);

// The smaller side becomes `side`, the other keeps its proportion to it, rounded.
Image ResampleSmallerSide(const Image& image, int side);

// The middle of `image`, which has at least that size; an odd pixel is left over at the right and
// below.
Image CenterCrop(const Image& image, int width, int height);

// `image` in `width` x `height` pixels (each in 1 .. kMaxImageSide), its proportions kept to a
// pixel: what overhangs in the middle is cut off, in equal parts on both sides.
Image Cover(const Image& image, int width, int height);

// As well, but all of it is there: what is missing above and below, or left and right, is as the
// nearest pixel of its edge.
Image Contain(const Image& image, int width, int height);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_RESAMPLE_H_
