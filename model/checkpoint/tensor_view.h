// A tensor that lies somewhere else: a type, a shape and the bytes, row-major and contiguous.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_TENSOR_VIEW_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace diffusiond {

enum class Dtype { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

// Owns no bytes: whoever made the view says how long they live, unless it keeps them itself. The
// bytes are little-endian and need not be aligned to the element size, so read them with memcpy.
struct TensorView {
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;  // Empty: a scalar, one element.
  std::span<const std::byte> data;
  // Of a tensor that lies in no file as it is to be read; `data` shows it.
  std::shared_ptr<const std::vector<std::byte>> kept = nullptr;
};

// By parameter name.
using TensorMap = std::map<std::string, TensorView>;

// Dimensions that a tensor in a file may have.
inline constexpr size_t kMaxTensorDimensions = 16;

// Bytes of one element: 1, 2, 4 or 8.
int64_t ElementSize(Dtype dtype);

bool IsFloatingPoint(Dtype dtype);

// The name that safetensors uses: "F32", "BF16", "I64", "BOOL".
absl::string_view DtypeName(Dtype dtype);

// The inverse; nullopt for names of no Dtype.
std::optional<Dtype> DtypeFromName(absl::string_view name);

// Product of `shape`; nullopt if a dimension is negative or the product does not fit.
std::optional<int64_t> NumElements(std::span<const int64_t> shape);

// Bytes that a tensor of this type and shape takes; nullopt as for NumElements.
std::optional<int64_t> NumBytes(Dtype dtype, std::span<const int64_t> shape);

// Flat index of the first NaN or infinity; nullopt if there is none, or the type has none.
std::optional<int64_t> FindNonFinite(const TensorView& tensor);

// The elements of a tensor of a floating point type, each the nearest float.
std::vector<float> ToFloats(const TensorView& tensor);

// "[64, 3, 3, 3]", for messages.
std::string ShapeToString(std::span<const int64_t> shape);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_TENSOR_VIEW_H_
