#include "model/checkpoint/pickled_tensor.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// Strides of a dimension of size 1, or of an empty tensor, are never used and may be anything.
bool IsContiguous(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

}  // namespace

absl::StatusOr<TensorView> ViewOfStorage(const PickledStorage& storage, int64_t offset,
                                         std::vector<int64_t> shape,
                                         const std::vector<int64_t>& strides) {
  const std::optional<int64_t> count = NumElements(shape);
  const int64_t size = ElementSize(storage.dtype);
  const int64_t available = static_cast<int64_t>(storage.data.size()) / size;
  if (!count || offset < 0 || offset > available || *count > available - offset) {
    return absl::InvalidArgumentError(
        absl::StrCat("a tensor of shape ", ShapeToString(shape), " at element ", offset,
                     " leaves its storage of ", available, " elements"));
  }
  if (strides.size() != shape.size() || (*count > 0 && !IsContiguous(shape, strides))) {
    return absl::InvalidArgumentError(absl::StrCat("a tensor of shape ", ShapeToString(shape),
                                                   " has strides ", ShapeToString(strides),
                                                   ", expected those of a contiguous one"));
  }
  return TensorView{
      storage.dtype, std::move(shape),
      storage.data.subspan(static_cast<size_t>(offset * size), static_cast<size_t>(*count * size))};
}

}  // namespace diffusiond
