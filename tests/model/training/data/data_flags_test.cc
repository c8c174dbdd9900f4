// Data as diffusion-eval opens it, beside a model.
#include "model/training/data/data_flags.h"

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "tests/model/training/data/data_fixture.h"

ABSL_DECLARE_FLAG(std::vector<std::string>, class_names);
ABSL_DECLARE_FLAG(bool, unconditional);

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DataFlagsTest : public DataFixture {
 protected:
  DataFlagsTest() { absl::SetFlag(&FLAGS_data, root().string()); }

  absl::StatusOr<ImageDataset> Open(const std::vector<std::string>& model,
                                    DatasetSplit split = DatasetSplit::kTrain) {
    return OpenSplitFromFlags(split, model);
  }

  void CallThem(const std::vector<std::string>& names) { absl::SetFlag(&FLAGS_class_names, names); }

 private:
  const absl::FlagSaver flags_as_before_;
};

TEST_F(DataFlagsTest, FoldersAreNumberedAsTheModelIs) {
  Write("train/Ankle boot/1.png", FlatPng(1, 1, {1}));
  Write("train/Bag/1.png", FlatPng(1, 1, {2}));
  Write("test/Bag/1.png", FlatPng(1, 1, {3}));
  const std::vector<std::string> model = {"T-shirt", "Bag", "Ankle boot"};
  const auto train = Open(model);
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_THAT(train->labels, ElementsAre(2, 1));
  EXPECT_EQ(train->class_names, model);
  EXPECT_THAT(Open(model, DatasetSplit::kTest)->labels, ElementsAre(1));
  ExpectRefused(Open({"T-shirt", "Ankle boot", "Hat"}), absl::StatusCode::kInvalidArgument,
                {"'Bag'", "--class_names"});
  EXPECT_THAT(Open({})->class_names, ElementsAre("Ankle boot", "Bag"));
}

TEST_F(DataFlagsTest, HeldOutImagesAreNumberedAsTheModelIs) {
  for (int i = 0; i < 20; ++i) {
    Write("b/" + std::to_string(i) + ".png", FlatPng(1, 1, {1}));
    Write("c/" + std::to_string(i) + ".png", FlatPng(1, 1, {2}));
  }
  const auto held_out = Open({"c", "a", "b"}, DatasetSplit::kTest);
  ASSERT_TRUE(held_out.ok()) << held_out.status();
  ASSERT_EQ(held_out->size(), 2);
  for (int64_t i = 0; i < 2; ++i) {
    EXPECT_EQ(held_out->labels[static_cast<size_t>(i)], held_out->image(i)[0] == 1 ? 2 : 0);
  }
  ExpectRefused(Open({"c", "a"}, DatasetSplit::kTest), absl::StatusCode::kInvalidArgument, {"'b'"});
}

TEST_F(DataFlagsTest, ClassNamesAreNamesToGoBy) {
  Write("a/1.png", FlatPng(1, 1, {1}));
  Write("b/1.png", FlatPng(1, 1, {2}));
  CallThem({"cat", "dog"});
  EXPECT_THAT(Open({"dog", "cat"})->labels, ElementsAre(1, 0));
  ExpectRefused(Open({"dog", "cow"}), absl::StatusCode::kInvalidArgument, {"'cat'"});
  CallThem({"0", "1"});
  EXPECT_THAT(Open({"dog", "cow"})->labels, ElementsAre(0, 1));
  CallThem({});
  absl::SetFlag(&FLAGS_unconditional, true);
  EXPECT_THAT(Open({"dog", "cow"})->labels, IsEmpty());
}

// As labels.csv of Noto Emoji, whose groups have longer names than the model's classes.
TEST_F(DataFlagsTest, NumbersOfATableHoldUnlessItsNamesAreTheModels) {
  Write("1.png", FlatPng(1, 1, {1}));
  Write("2.png", FlatPng(1, 1, {2}));
  Write("labels.csv", "file,label,group\n1.png,0,Objects\n2.png,1,Food & Drink\n");
  const auto longer = Open({"Objects", "Food"});
  ASSERT_TRUE(longer.ok()) << longer.status();
  EXPECT_THAT(longer->labels, ElementsAre(0, 1));
  EXPECT_THAT(longer->class_names, ElementsAre("Objects", "Food"));
  EXPECT_THAT(Open({"Food & Drink", "Objects"})->labels, ElementsAre(1, 0));
}

TEST_F(DataFlagsTest, ATestSplitOfIdxMayLackAClassInTheMiddle) {
  Write("train-images-idx3-ubyte", IdxImages(4, 1, 1));
  Write("train-labels-idx1-ubyte", IdxLabels({0, 1, 2, 3}));
  Write("t10k-images-idx3-ubyte", IdxImages(3, 1, 1));
  Write("t10k-labels-idx1-ubyte", IdxLabels({0, 1, 3}));
  const std::vector<std::string> model = {"a", "b", "c", "d"};
  const auto test = Open(model, DatasetSplit::kTest);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_THAT(test->labels, ElementsAre(0, 1, 3));
  EXPECT_EQ(test->class_names, model);
  const auto train = Open(model);
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_EQ(train->size(), 4) << "none is held out";
  // Of a class that training does not know, the file is named.
  Write("t10k-labels-idx1-ubyte", IdxLabels({0, 1, 9}));
  ExpectRefused(Open(model, DatasetSplit::kTest), absl::StatusCode::kInvalidArgument,
                {"t10k-labels-idx1-ubyte", "image 2 is 9, expected 0 to 3"});
}

TEST_F(DataFlagsTest, ATestSplitAloneIsEnough) {
  Write("t10k-images-idx3-ubyte", IdxImages(2, 1, 1));
  Write("t10k-labels-idx1-ubyte", IdxLabels({1, 0}));
  EXPECT_EQ(Open({}, DatasetSplit::kTest)->size(), 2);
}

}  // namespace
}  // namespace diffusiond
