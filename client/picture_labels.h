// Words above pictures, on paper of their own: no pixel of a picture changes.
#ifndef DIFFUSIOND_CLIENT_PICTURE_LABELS_H_
#define DIFFUSIOND_CLIENT_PICTURE_LABELS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Grey levels.
struct LabelStyle {
  uint8_t paper = 255;
  uint8_t ink = 0;
};

// What is said of images that are shown together.
struct PictureLabels {
  std::vector<std::string> caption = {};  // Of all of them; as many on a line as fit.
  uint32_t first_image_index = 0;
};

// Class (or model, where there is none), seed, sampler and steps.
PictureLabels LabelsOf(const v1::ResolvedParameters& parameters);

// Image `index` of a seed, as files and --first_image_index count: "#7".
std::string IndexLabel(uint32_t index);

// 2 where letters of that size leave room for every label in `width` pixels, else 1.
int LabelScale(std::span<const std::string> labels, int width);

// `label` above the picture, on a strip of its width; letters that do not fit are left out. An
// empty picture stays empty.
Image WithLabel(Image picture, absl::string_view label, int scale, LabelStyle style);

// `words` above the picture, `margin` pixels from the edges. It is made wider for a word that does
// not fit, even in small letters. No words, or an empty picture: as it is.
Image WithCaption(Image picture, std::span<const std::string> words, int margin, LabelStyle style);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_PICTURE_LABELS_H_
