// Any bytes: the readers of pictures refuse them, or give a picture of the size that the limit
// allows. So do the readers of texts in them. Memory and time are bounded by that limit, whatever
// the file says or holds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/imaging/decode.h"
#include "model/imaging/png_text.h"
#include "model/imaging/resample.h"
#include "model/imaging/webp_xmp.h"

namespace diffusiond {
namespace {

// What is put into a file comes out of it; what is taken out of one is no larger than it.
void CheckTexts(std::string_view bytes) {
  if (const auto with = AddPngText(bytes, "key", "text"); with.ok()) {
    const auto taken = TakePngText(*with, "key");
    if (taken.ok() && (taken->text != "text" || taken->png != bytes)) std::abort();
  }
  if (const auto with = AddWebpXmp(bytes, "text"); with.ok()) {
    if (TakeWebpXmp(*with).value().packet != "text") std::abort();
  }
  const auto text = TakePngText(bytes, "Comment");
  const auto xmp = TakeWebpXmp(bytes);
  if (text.ok() && text->text.size() + text->png.size() > bytes.size()) std::abort();
  if (xmp.ok() && xmp->packet.size() + xmp->webp.size() > bytes.size()) std::abort();
}

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  constexpr DecodeLimits kLimits{.max_side = 64};
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<Image> image = DecodeImage(bytes, kLimits);
  if (image.ok() && (!CheckImage(*image).ok() || image->width > kLimits.max_side ||
                     image->height > kLimits.max_side)) {
    std::abort();
  }
  if (image.ok()) {
    for (const Image& fitted :
         {Cover(*image, 5, 3), Contain(*image, 3, 5), Resample(*image, 9, 1)}) {
      if (!CheckImage(fitted).ok()) std::abort();
    }
  }
  if (!image.ok() && !absl::IsInvalidArgument(image.status()) &&
      !absl::IsOutOfRange(image.status())) {
    std::abort();
  }
  // It is there only where the picture is, and as large.
  const absl::StatusOr<Image> transparency = DecodeTransparency(bytes, kLimits);
  if (transparency.ok() &&
      (!image.ok() || !CheckImage(*transparency).ok() || transparency->channels != 1 ||
       transparency->width != image->width || transparency->height != image->height)) {
    std::abort();
  }
  CheckTexts(bytes);
  return 0;
}
