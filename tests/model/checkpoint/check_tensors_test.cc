#include "model/checkpoint/check_tensors.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CheckTensorsTest : public ::testing::Test {
 protected:
  const std::vector<float> values_ = {1, 2, 3, 4};
  const std::span<const std::byte> bytes_ = std::as_bytes(std::span(values_));
  const ParameterList expected_ = {{"a.weight", {2, 2}}, {"a.bias", {4}}};
  TensorMap actual_ = {{"a.weight", {Dtype::kF32, {2, 2}, bytes_}},
                       {"a.bias", {Dtype::kF32, {4}, bytes_}}};

  std::string Message() const {
    const absl::Status status = CheckTensors(expected_, actual_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }
};

TEST_F(CheckTensorsTest, AcceptsExactlyTheNetworksTensors) {
  EXPECT_TRUE(CheckTensors(expected_, actual_).ok());
}

TEST_F(CheckTensorsTest, NamesAMissingTensorAndItsShape) {
  actual_.erase("a.weight");
  EXPECT_THAT(Message(), HasSubstr("1 missing: 'a.weight' [2, 2]"));
}

TEST_F(CheckTensorsTest, NamesASurplusTensorAndItsShape) {
  actual_["b.weight"] = {Dtype::kF32, {1, 4}, bytes_};
  EXPECT_THAT(Message(), HasSubstr("1 surplus: 'b.weight' [1, 4]"));
}

TEST_F(CheckTensorsTest, NamesAWrongShape) {
  actual_["a.weight"].shape = {4, 1};
  EXPECT_THAT(Message(), HasSubstr("'a.weight' (expected [2, 2], found [4, 1])"));
}

TEST_F(CheckTensorsTest, RefusesIntegers) {
  actual_["a.bias"].dtype = Dtype::kI32;
  EXPECT_THAT(Message(), HasSubstr("'a.bias' (expected F64, F32, F16 or BF16, found I32)"));
}

TEST_F(CheckTensorsTest, NamesTheFirstNonFiniteElement) {
  const std::vector<float> bad = {1, 2, std::nanf(""), HUGE_VALF};
  actual_["a.bias"].data = std::as_bytes(std::span(bad));
  EXPECT_THAT(Message(), HasSubstr("'a.bias' (element 2 is NaN or infinite)"));
}

TEST_F(CheckTensorsTest, ListsEveryKindAtOnceButOnlyTheFirstFewOfEach) {
  for (int i = 0; i < 100; ++i) actual_[absl::StrCat("s", i)] = {Dtype::kF32, {4}, bytes_};
  actual_.erase("a.bias");
  EXPECT_THAT(Message(), AllOf(HasSubstr("1 missing"), HasSubstr("100 surplus"), HasSubstr("'s0'"),
                               HasSubstr(", ..."), Not(HasSubstr("'s99'"))));
}

}  // namespace
}  // namespace diffusiond
