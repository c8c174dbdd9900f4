#include "model/checkpoint/tensor_view.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(TensorViewTest, EveryDtypeHasANameThatLeadsBack) {
  const std::pair<const char*, int64_t> expected[] = {
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
      {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};
  int index = 0;
  for (const auto& [name, size] : expected) {
    const Dtype dtype = static_cast<Dtype>(index++);
    EXPECT_EQ(DtypeName(dtype), name);
    EXPECT_EQ(ElementSize(dtype), size) << name;
    EXPECT_EQ(DtypeFromName(name), dtype) << name;
  }
  EXPECT_EQ(DtypeFromName("F8_E4M3"), std::nullopt);
}

TEST(TensorViewTest, NumElementsRefusesWhatDoesNotFit) {
  const int64_t big = int64_t{1} << 32;
  const std::pair<std::vector<int64_t>, std::optional<int64_t>> cases[] = {
      {{}, 1},    {{3}, 3},      {{2, 3, 4}, 24},  {{0, 5}, 0},
      {{-1}, {}}, {{-1, 0}, {}}, {{big, big}, {}}, {{big, big, 0}, {}},
  };
  for (const auto& [shape, expected] : cases) {
    EXPECT_EQ(NumElements(shape), expected) << ShapeToString(shape);
  }
  EXPECT_EQ(NumBytes(Dtype::kF64, std::vector<int64_t>{int64_t{1} << 61}), std::nullopt);
  EXPECT_EQ(NumBytes(Dtype::kU8, std::vector<int64_t>{int64_t{1} << 61}), int64_t{1} << 61);
}

template <typename T>
std::optional<int64_t> Find(Dtype dtype, const std::vector<T>& values, size_t misalignment = 0) {
  std::vector<std::byte> bytes(misalignment);
  const auto data = std::as_bytes(std::span(values));
  bytes.insert(bytes.end(), data.begin(), data.end());
  return FindNonFinite(
      {dtype, {static_cast<int64_t>(values.size())}, std::span(bytes).subspan(misalignment)});
}

TEST(TensorViewTest, FindsTheFirstNonFiniteElementOfEveryFloatingPointType) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Find<float>(Dtype::kF32, {1, -std::numeric_limits<float>::max(), 0}), std::nullopt);
  EXPECT_EQ(Find<float>(Dtype::kF32, {1, std::nanf(""), inf}), 1);
  EXPECT_EQ(Find<float>(Dtype::kF32, {1, 2, -inf}, 3), 2);
  EXPECT_EQ(Find<double>(Dtype::kF64, {1e300, -HUGE_VAL}), 1);
  EXPECT_EQ(Find<double>(Dtype::kF64, {1e300, 5e-324}), std::nullopt);
  EXPECT_EQ(Find<uint16_t>(Dtype::kF16, {0x7BFF, 0xFBFF, 0x7C00}), 2);  // 65504, -65504, inf
  EXPECT_EQ(Find<uint16_t>(Dtype::kF16, {0x3C00, 0xFE00}), 1);          // 1, NaN
  EXPECT_EQ(Find<uint16_t>(Dtype::kBF16, {0x7F7F, 0xFF80}), 1);         // largest, -inf
  EXPECT_EQ(Find<uint16_t>(Dtype::kBF16, {0x7C00, 0x7BFF}), std::nullopt);
  EXPECT_EQ(Find<uint16_t>(Dtype::kI16, {0x7F80, 0xFFFF}), std::nullopt);
}

}  // namespace
}  // namespace diffusiond
