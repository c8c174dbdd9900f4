// Many pictures on one.
#ifndef DIFFUSIOND_MODEL_IMAGING_CONTACT_SHEET_H_
#define DIFFUSIOND_MODEL_IMAGING_CONTACT_SHEET_H_

#include <cstdint>
#include <span>

#include "model/imaging/image.h"

namespace diffusiond {

// Lays `images` out row by row, `columns` in a row (at least 1; fewer images than that make a
// narrower sheet), `gap` pixels between and around them. `background` is a grey level, used for
// gaps and unused cells.
//
// Images are meant to be equal in size and channels. Otherwise the cells take the largest width
// and height, a smaller image sits at the upper left of its cell, and one RGB image makes the sheet
// RGB. Images that CheckImage refuses leave their cell empty. No images: an empty image.
Image ContactSheet(std::span<const Image> images, int columns, int gap = 2,
                   uint8_t background = 255);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_CONTACT_SHEET_H_
