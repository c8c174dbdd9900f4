#include "model/training/data/labels.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

TEST(NameClassesTest, NumbersClassesWithoutNames) {
  const int32_t labels[] = {2, 0, 1, 1};
  EXPECT_THAT(*NameClasses(labels, {}), ElementsAre("0", "1", "2"));
}

TEST(NameClassesTest, NamesMayOutnumberTheClassesInUse) {
  const int32_t labels[] = {2, 0};
  const std::string names[] = {"a", "b", "c", "d"};
  EXPECT_THAT(*NameClasses(labels, names), ElementsAre("a", "b", "c", "d"));
}

TEST(NameClassesTest, LabelsOutsideTheNamesAreRefused) {
  const std::string names[] = {"a", "b"};
  const int32_t large[] = {0, 1, 0, 2};
  ExpectRefused(NameClasses(large, names), absl::StatusCode::kInvalidArgument,
                {"image 3 is 2", "0 to 1"});
  const int32_t negative[] = {0, -1, 1};
  ExpectRefused(NameClasses(negative, names), absl::StatusCode::kInvalidArgument,
                {"image 1 is -1", "0 to 1"});
}

TEST(NameClassesTest, AStrayLabelIsRefused) {
  const int32_t stray[] = {0, 1, 200, 2, 1};
  ExpectRefused(NameClasses(stray, {}), absl::StatusCode::kInvalidArgument,
                {"image 2 is 200", "0 to 2"});
  const int32_t huge[] = {0, 2147483647};
  ExpectRefused(NameClasses(huge, {}), absl::StatusCode::kInvalidArgument,
                {"image 1 is 2147483647", "0 to 0"});
  const int32_t negative[] = {0, -2147483648};
  ExpectRefused(NameClasses(negative, {}), absl::StatusCode::kInvalidArgument, {"image 1"});
}

TEST(NameClassesTest, LabelsThatBeginAtOneAreSaidToDoSo) {
  const int32_t labels[] = {1, 2, 1, 3};
  ExpectRefused(NameClasses(labels, {}), absl::StatusCode::kInvalidArgument,
                {"labels begin at 1 (1 to 3), expected from 0: subtract 1"});
  const int32_t gaps[] = {1, 3, 9, 27};
  ExpectRefused(NameClasses(gaps, {}), absl::StatusCode::kInvalidArgument,
                {"labels are 1 to 27 with gaps and none is 0", "number the classes anew",
                 "0 to 27 by --class_names"});
  const int32_t many[] = {1, 3, 1, 3, 1, 3};
  ExpectRefused(NameClasses(many, {}), absl::StatusCode::kInvalidArgument, {"1 to 3 with gaps"});
}

}  // namespace
}  // namespace diffusiond
