// How a camera was held: the Orientation field of EXIF (CIPA DC-008), which says how the stored
// rows and columns are to be shown. Photos of phones have it. Free of state; any thread.
#ifndef DIFFUSIOND_MODEL_IMAGING_EXIF_H_
#define DIFFUSIOND_MODEL_IMAGING_EXIF_H_

#include <string_view>

#include "model/imaging/image.h"

namespace diffusiond {

// 1 .. 8, the standard's values; 1 is as stored. Each of the three takes a file of its format and
// gives 1 for one that has no EXIF, or EXIF that is damaged or says anything else: a picture is not
// refused for what is written beside it. The first EXIF in the file counts, of it the first
// directory; nothing is followed or repeated, so time and memory do not depend on what it claims.
int JpegOrientation(std::string_view bytes);
int PngOrientation(std::string_view bytes);
int WebpOrientation(std::string_view bytes);

// `image` as it is to be shown; 5 .. 8 exchange width and height.
Image Upright(Image image, int orientation);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_EXIF_H_
