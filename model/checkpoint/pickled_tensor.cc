#include "model/checkpoint/pickled_tensor.h"

#include <algorithm>
#include <cstring>
#include <memory>
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

// Whether the dimensions, in some order, are those of a contiguous tensor.
bool IsPermuted(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  std::vector<std::pair<int64_t, int64_t>> inner_first;  // Strides and sizes.
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) inner_first.emplace_back(strides[i], shape[i]);
  }
  std::sort(inner_first.begin(), inner_first.end());
  int64_t expected = 1;
  for (const auto& [stride, size] : inner_first) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

// `from` is a whole permuted tensor.
std::vector<std::byte> InRowMajorOrder(std::span<const std::byte> from, size_t element,
                                       const std::vector<int64_t>& shape,
                                       const std::vector<int64_t>& strides) {
  std::vector<std::byte> to(from.size());
  std::vector<int64_t> index(shape.size(), 0);
  int64_t at = 0;  // Of the element at `index`.
  for (size_t done = 0; done < to.size(); done += element) {
    std::memcpy(to.data() + done, from.data() + static_cast<size_t>(at) * element, element);
    for (size_t i = shape.size(); i-- > 0;) {
      at += strides[i];
      if (++index[i] < shape[i]) break;
      at -= strides[i] * shape[i];
      index[i] = 0;
    }
  }
  return to;
}

}  // namespace

absl::StatusOr<TensorView> ViewOfStorage(const PickledStorage& storage, int64_t offset,
                                         std::vector<int64_t> shape,
                                         const std::vector<int64_t>& strides, int64_t max_copied) {
  const std::optional<int64_t> count = NumElements(shape);
  const int64_t size = ElementSize(storage.dtype);
  const int64_t available = static_cast<int64_t>(storage.data.size()) / size;
  if (!count || offset < 0 || offset > available || *count > available - offset) {
    return absl::InvalidArgumentError(
        absl::StrCat("a tensor of shape ", ShapeToString(shape), " at element ", offset,
                     " leaves its storage of ", available, " elements"));
  }
  const bool in_order =
      strides.size() == shape.size() && (*count == 0 || IsContiguous(shape, strides));
  if (!in_order && (strides.size() != shape.size() || !IsPermuted(shape, strides))) {
    return absl::InvalidArgumentError(
        absl::StrCat("a tensor of shape ", ShapeToString(shape), " has strides ",
                     ShapeToString(strides), ", expected those of a contiguous one, in any order"));
  }
  const std::span<const std::byte> data =
      storage.data.subspan(static_cast<size_t>(offset * size), static_cast<size_t>(*count * size));
  if (in_order) return TensorView{storage.dtype, std::move(shape), data};
  if (*count * size > max_copied) {
    return absl::InvalidArgumentError(absl::StrCat("a tensor of shape ", ShapeToString(shape),
                                                   " has strides ", ShapeToString(strides),
                                                   ", and others show the same bytes"));
  }
  auto kept = std::make_shared<const std::vector<std::byte>>(
      InRowMajorOrder(data, static_cast<size_t>(size), shape, strides));
  return TensorView{storage.dtype, std::move(shape), *kept, kept};
}

}  // namespace diffusiond
