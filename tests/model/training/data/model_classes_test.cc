#include "model/training/data/model_classes.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// An image of a pixel a label.
ImageDataset Data(std::vector<std::string> names, std::vector<int32_t> labels) {
  ImageDataset data;
  data.channels = data.height = data.width = 1;
  for (const int32_t label : labels) data.pixels.push_back(static_cast<uint8_t>(label));
  data.labels = std::move(labels);
  data.class_names = std::move(names);
  data.digest = DigestOf(data);
  return data;
}

TEST(ModelClassesTest, LabelsFollowTheirNamesIntoTheModelsOrder) {
  const std::vector<std::string> model = {"shirt", "bag", "boot", "coat"};
  ImageDataset data = Data({"bag", "boot", "shirt"}, {0, 1, 2, 1});
  const std::string before = data.digest;
  ASSERT_EQ(NumberAsModel(model, &data), absl::OkStatus());
  EXPECT_THAT(data.labels, ElementsAre(1, 2, 0, 2));
  EXPECT_EQ(data.class_names, model);
  EXPECT_EQ(data.digest, DigestOf(data));
  EXPECT_NE(data.digest, before);
}

TEST(ModelClassesTest, AClassThatTheModelHasNotIsNamed) {
  ImageDataset data = Data({"bag", "hat"}, {0, 1});
  const absl::Status status = NumberAsModel({"shirt", "bag"}, &data);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("--data has a class 'hat', expected one of the model's 2, 'shirt' to 'bag'"));
  EXPECT_THAT(data.labels, ElementsAre(0, 1)) << "nothing is done by halves";
  EXPECT_EQ(NumberAsModel({"0", "1"}, &data).code(), absl::StatusCode::kInvalidArgument);
}

TEST(ModelClassesTest, BareNumbersTakeTheModelsNames) {
  const std::vector<std::string> model = {"shirt", "bag"};
  ImageDataset data = Data({"0", "1"}, {1, 0});
  ASSERT_EQ(NumberAsModel(model, &data), absl::OkStatus());
  EXPECT_THAT(data.labels, ElementsAre(1, 0));
  EXPECT_EQ(data.class_names, model);
  data = Data({"0", "1", "2"}, {1, 0, 2});
  ASSERT_EQ(NumberAsModel(model, &data), absl::OkStatus());
  EXPECT_THAT(data.class_names, ElementsAre("0", "1", "2")) << "more than the model's";
  // Folders called by numbers are in the order of their bytes.
  data = Data({"0", "1", "2"}, {1, 0, 2});
  ASSERT_EQ(NumberAsModel({"0", "1", "10", "2"}, &data), absl::OkStatus());
  EXPECT_THAT(data.labels, ElementsAre(1, 0, 3));
}

TEST(ModelClassesTest, WhereOneOfThemHasNoClassesNothingChanges) {
  ImageDataset data = Data({"bag", "boot"}, {1, 0});
  ASSERT_EQ(NumberAsModel({}, &data), absl::OkStatus());
  EXPECT_THAT(data.class_names, ElementsAre("bag", "boot"));
  data = Data({}, {});
  ASSERT_EQ(NumberAsModel({"bag"}, &data), absl::OkStatus());
  EXPECT_THAT(data.class_names, IsEmpty());
}

}  // namespace
}  // namespace diffusiond
