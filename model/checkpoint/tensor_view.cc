#include "model/checkpoint/tensor_view.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

struct DtypeRow {
  Dtype dtype;
  absl::string_view name;
  int64_t size;
};

constexpr DtypeRow kDtypes[] = {
    {Dtype::kF64, "F64", 8},   {Dtype::kF32, "F32", 4}, {Dtype::kF16, "F16", 2},
    {Dtype::kBF16, "BF16", 2}, {Dtype::kI64, "I64", 8}, {Dtype::kI32, "I32", 4},
    {Dtype::kI16, "I16", 2},   {Dtype::kI8, "I8", 1},   {Dtype::kU8, "U8", 1},
    {Dtype::kBool, "BOOL", 1},
};

const DtypeRow& RowOf(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)]; }

// A floating point number is NaN or infinite exactly if all its exponent bits are set.
template <typename Bits>
std::optional<int64_t> FindAllOnesExponent(std::span<const std::byte> data, Bits exponent_mask) {
  const size_t count = data.size() / sizeof(Bits);
  for (size_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, data.data() + i * sizeof(Bits), sizeof(Bits));
    if ((bits & exponent_mask) == exponent_mask) return static_cast<int64_t>(i);
  }
  return std::nullopt;
}

// Calls convert(bits) for each element.
template <typename Bits, typename Convert>
std::vector<float> ConvertAll(std::span<const std::byte> data, const Convert& convert) {
  std::vector<float> floats(data.size() / sizeof(Bits));
  for (size_t i = 0; i < floats.size(); ++i) {
    Bits bits;
    std::memcpy(&bits, data.data() + i * sizeof(Bits), sizeof(Bits));
    floats[i] = convert(bits);
  }
  return floats;
}

// IEEE binary16: 1 + 5 + 10 bits, biased by 15.
float FromHalf(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
  const float sign = bits >> 15 != 0 ? -1.f : 1.f;
  if (exponent == 0x1F) {
    return fraction == 0 ? sign * std::numeric_limits<float>::infinity()
                         : std::numeric_limits<float>::quiet_NaN();
  }
  return exponent == 0 ? sign * std::ldexp(static_cast<float>(fraction), -24)
                       : sign * std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
}

}  // namespace

int64_t ElementSize(Dtype dtype) { return RowOf(dtype).size; }

bool IsFloatingPoint(Dtype dtype) { return dtype <= Dtype::kBF16; }

absl::string_view DtypeName(Dtype dtype) { return RowOf(dtype).name; }

std::optional<Dtype> DtypeFromName(absl::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::optional<int64_t> NumElements(std::span<const int64_t> shape) {
  // A zero anywhere makes the product zero, but the other dimensions must fit all the same:
  // readers compute strides from them.
  int64_t product = 1;
  bool has_zero = false;
  for (int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      has_zero = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return std::nullopt;
    }
  }
  return has_zero ? 0 : product;
}

std::optional<int64_t> NumBytes(Dtype dtype, std::span<const int64_t> shape) {
  const std::optional<int64_t> elements = NumElements(shape);
  int64_t bytes;
  if (!elements || __builtin_mul_overflow(*elements, ElementSize(dtype), &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

std::optional<int64_t> FindNonFinite(const TensorView& tensor) {
  switch (tensor.dtype) {
    case Dtype::kF64:
      return FindAllOnesExponent<uint64_t>(tensor.data, 0x7FF0000000000000u);
    case Dtype::kF32:
      return FindAllOnesExponent<uint32_t>(tensor.data, 0x7F800000u);
    case Dtype::kF16:
      return FindAllOnesExponent<uint16_t>(tensor.data, 0x7C00u);
    case Dtype::kBF16:
      return FindAllOnesExponent<uint16_t>(tensor.data, 0x7F80u);
    default:
      return std::nullopt;
  }
}

std::vector<float> ToFloats(const TensorView& tensor) {
  switch (tensor.dtype) {
    case Dtype::kF64:
      return ConvertAll<double>(tensor.data, [](double x) { return static_cast<float>(x); });
    case Dtype::kF16:
      return ConvertAll<uint16_t>(tensor.data, FromHalf);
    case Dtype::kBF16:  // The upper half of a float.
      return ConvertAll<uint16_t>(tensor.data, [](uint16_t bits) {
        return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
      });
    default:
      return ConvertAll<float>(tensor.data, [](float x) { return x; });
  }
}

std::string ShapeToString(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace diffusiond
