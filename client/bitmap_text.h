// Words on pictures, for labels: small letters of five by seven points.
#ifndef DIFFUSIOND_CLIENT_BITMAP_TEXT_H_
#define DIFFUSIOND_CLIENT_BITMAP_TEXT_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Of one letter with the space behind and below it, at scale 1.
inline constexpr int kLetterWidth = 6;
inline constexpr int kLetterHeight = 9;

// Draws `text` in grey `level` with its upper left corner at (x, y), each point a square of `scale`
// pixels. What is outside of the image is left out. Letters are drawn as capitals; what the font
// has not is drawn as a box.
void DrawText(absl::string_view text, int x, int y, int scale, uint8_t level, Image* image);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_BITMAP_TEXT_H_
