// Any bytes: the readers of pictures refuse them, or give a picture of the size that the limit
// allows. Memory and time are bounded by that limit, whatever the file says or holds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/imaging/decode.h"
#include "model/imaging/resample.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  constexpr DecodeLimits kLimits{.max_side = 64};
  const absl::StatusOr<Image> image =
      DecodeImage(std::string_view(reinterpret_cast<const char*>(data), size), kLimits);
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
  return 0;
}
