#include "model/training/data/open_dataset.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OpenDatasetTest : public DataFixture {
 protected:
  absl::StatusOr<ImageDataset> Open(DatasetSplit split = DatasetSplit::kTrain) {
    DatasetSpec spec = spec_;
    if (spec.path.empty()) spec.path = root();
    spec.split = split;
    return OpenDataset(spec);
  }

  DatasetSpec spec_;
};

TEST_F(OpenDatasetTest, RecognisesIdxAndItsSplits) {
  Write("train-images-idx3-ubyte.gz", Gzip(IdxImages(3, 2, 2)));
  Write("train-labels-idx1-ubyte.gz", Gzip(IdxLabels({0, 1, 2})));
  Write("t10k-images-idx3-ubyte", IdxImages(2, 2, 2));
  Write("t10k-labels-idx1-ubyte.gz", Gzip(IdxLabels({1, 0})));
  const auto train = Open();
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_EQ(train->size(), 3);
  EXPECT_THAT(train->class_names, ElementsAre("0", "1", "2"));
  EXPECT_EQ(train->digest, DigestOf(*train));
  const auto test = Open(DatasetSplit::kTest);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_THAT(test->labels, ElementsAre(1, 0));
}

TEST_F(OpenDatasetTest, IdxFolderMustHaveItsLabels) {
  Write("train-images.idx3-ubyte", IdxImages(1, 2, 2));
  ExpectRefused(Open(), absl::StatusCode::kNotFound, {"train-images.idx3-ubyte", "labels"});
  Write("train-labels.idx1-ubyte", IdxLabels({0}));
  EXPECT_TRUE(Open().ok());
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kOutOfRange, {"test split", "t10k"});
}

TEST_F(OpenDatasetTest, AnIdxFileByItsOwnPathMayBeUnlabelled) {
  spec_.path = Write("digits-images-idx3-ubyte", IdxImages(2, 2, 2));
  const auto unlabelled = Open();
  ASSERT_TRUE(unlabelled.ok()) << unlabelled.status();
  EXPECT_THAT(unlabelled->labels, IsEmpty());
  EXPECT_THAT(unlabelled->class_names, IsEmpty());
  Write("digits-labels-idx1-ubyte", IdxLabels({1, 0}));
  EXPECT_THAT(Open()->labels, ElementsAre(1, 0));
}

TEST_F(OpenDatasetTest, AStrayIdxLabelIsRefusedWithItsFile) {
  Write("train-images-idx3-ubyte", IdxImages(3, 2, 2));
  Write("train-labels-idx1-ubyte", IdxLabels({0, 77, 1}));
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument,
                {"train-labels-idx1-ubyte", "image 1 is 77"});
}

TEST_F(OpenDatasetTest, RecognisesCifarAndItsSplits) {
  Write("data_batch_2.bin", CifarRecord(2, 1, 1, 1));
  Write("data_batch_1.bin", CifarRecord(1, 1, 1, 1));
  Write("test_batch.bin", CifarRecord(9, 1, 1, 1));
  const auto train = Open();
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_THAT(train->labels, ElementsAre(1, 2));
  EXPECT_EQ(train->class_names.size(), 10u);
  EXPECT_EQ(train->class_names[9], "truck");
  Write("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
  const auto test = Open(DatasetSplit::kTest);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_THAT(test->labels, ElementsAre(9));
  EXPECT_EQ(test->class_names[9], "j");

  spec_.path = root() / "data_batch_2.bin";
  EXPECT_THAT(Open()->labels, ElementsAre(2));
  spec_.path = root();
  std::filesystem::remove(root() / "test_batch.bin");
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kOutOfRange, {"test_batch.bin"});
}

TEST_F(OpenDatasetTest, RecognisesClassFolders) {
  Write("cat/1.png", FlatPng(2, 2, {1}));
  Write("dog/1.png", FlatPng(2, 2, {2}));
  const auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->class_names, ElementsAre("cat", "dog"));
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kOutOfRange, {"train and test"});
}

TEST_F(OpenDatasetTest, RecognisesTrainAndTestFolders) {
  Write("train/cat/1.png", FlatPng(2, 2, {1}));
  Write("train/dog/1.png", FlatPng(2, 2, {2}));
  Write("test/cat/1.png", FlatPng(2, 2, {3}));
  EXPECT_EQ(Open()->size(), 2);
  const auto test = Open(DatasetSplit::kTest);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_THAT(test->pixels, ElementsAre(3, 3, 3, 3));
}

TEST_F(OpenDatasetTest, ATestSplitWithoutItsLabelsIsNotNone) {
  Write("train-images-idx3-ubyte", IdxImages(1, 2, 2));
  Write("train-labels-idx1-ubyte", IdxLabels({0}));
  Write("t10k-images-idx3-ubyte", IdxImages(1, 2, 2));
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kNotFound,
                {"t10k-images-idx3-ubyte", "labels"});
}

TEST_F(OpenDatasetTest, TestFoldersClassesAreNumberedAsTrainFolders) {
  for (const char* name : {"ant", "bee", "cat"}) {
    Write(std::string("train/") + name + "/1.png", FlatPng(2, 2, {1}));
  }
  Write("test/bee/1.png", FlatPng(2, 2, {2}));
  Write("test/cat/1.png", FlatPng(2, 2, {3}));
  const auto test = Open(DatasetSplit::kTest);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_THAT(test->labels, ElementsAre(1, 2));
  EXPECT_THAT(test->class_names, ElementsAre("ant", "bee", "cat"));

  Write("test/bat/1.png", FlatPng(2, 2, {2}));
  EXPECT_TRUE(Open().ok());
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kInvalidArgument,
                {"test/bat", "no such class in", "train"});
}

TEST_F(OpenDatasetTest, TrainAndTestFoldersBothHaveClassesOrNeither) {
  Write("train/1.png", FlatPng(2, 2, {1}));
  const auto test = Write("test/1.png", FlatPng(2, 2, {1}));
  EXPECT_THAT(Open(DatasetSplit::kTest)->labels, IsEmpty());
  std::filesystem::remove(test);
  Write("test/cat/1.png", FlatPng(2, 2, {1}));
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kInvalidArgument, {"test/cat"});
  std::filesystem::remove_all(root() / "test");
  std::filesystem::remove_all(root() / "train");
  Write("train/cat/1.png", FlatPng(2, 2, {1}));
  Write("test/1.png", FlatPng(2, 2, {1}));
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kInvalidArgument,
                {"test", "expected sub-folders as in"});
}

TEST_F(OpenDatasetTest, LabelsCsvIsFoundOrGiven) {
  Write("32/a.png", FlatPng(1, 1, {1}));
  Write("32/b.png", FlatPng(1, 1, {2}));
  const auto csv = Write("labels.csv", "file,label,group\nb.png,0,Sky\na.png,1,Sea\n");
  spec_.path = root() / "32";
  EXPECT_THAT(Open()->labels, IsEmpty());
  spec_.labels_csv = csv;
  const auto given = Open();
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_THAT(given->labels, ElementsAre(1, 0));
  EXPECT_THAT(given->class_names, ElementsAre("Sky", "Sea"));
  spec_.labels_csv.reset();
  std::filesystem::rename(csv, root() / "32" / "labels.csv");
  EXPECT_EQ(Open()->digest, given->digest);
  ExpectRefused(Open(DatasetSplit::kTest), absl::StatusCode::kOutOfRange, {"test split"});
}

TEST_F(OpenDatasetTest, MetadataOfHuggingFaceIsRead) {
  Write("a.png", FlatPng(1, 1, {1}));
  Write("b.png", FlatPng(1, 1, {2}));
  const auto csv = Write("metadata.csv", "file_name,label\na.png,tree\nb.png,sea\n");
  EXPECT_THAT(Open()->class_names, ElementsAre("sea", "tree"));
  std::filesystem::remove(csv);
  Write("metadata.jsonl",
        "{\"file_name\": \"a.png\", \"label\": 1}\n{\"file_name\": \"b.png\", \"label\": 0}\n");
  EXPECT_THAT(Open()->labels, ElementsAre(1, 0));
}

TEST_F(OpenDatasetTest, MetadataWithoutLabelsIsSaidToBeOfNoUse) {
  Write("sea/a.png", FlatPng(1, 1, {1}));
  Write("metadata.csv", "file_name,text\nsea/a.png,a ship\n");
  const auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->class_names, ElementsAre("sea"));
  EXPECT_THAT(dataset->warnings, ElementsAre(HasSubstr("metadata.csv: is not used"),
                                             HasSubstr("all images are of one class, sea")));
  Write("labels.csv", "file,name\nsea/a.png,x\n");
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument, {"labels.csv", "column named label"});
}

TEST_F(OpenDatasetTest, AFolderAboveTheDataIsWarnedOf) {
  Write("pets/a.png", FlatPng(1, 1, {1}));
  Write("pets/labels.csv", "file,label\na.png,0\n");
  const auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->class_names, ElementsAre("pets"));
  const std::string pets = (root() / "pets").string();
  EXPECT_THAT(dataset->warnings,
              ElementsAre(pets +
                              "/labels.csv: is not used: its folder is taken for the class "
                              "pets; --data=" +
                              pets + " reads it",
                          root().string() +
                              ": all images are of one class, pets, the only "
                              "sub-folder; --data=" +
                              pets + " takes them as images without classes"));
}

TEST_F(OpenDatasetTest, ATableThatNamesSomeImagesIsWarnedOfOrRefused) {
  for (const char* name : {"a.png", "b.png", "c.png"}) Write(name, FlatPng(1, 1, {1}));
  Write("labels.csv", "file,label\na.png,0\nc.png,0\n");
  ExpectRefused(Open(), absl::StatusCode::kFailedPrecondition,
                {"1 of 3 images is left out: b.png (not in the table)"});
  spec_.max_left_out = 0.5;
  const auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 2);
  EXPECT_THAT(dataset->warnings, ElementsAre(HasSubstr("b.png")));
}

TEST_F(OpenDatasetTest, SplitsMayBeCalledOtherwise) {
  Write("train/cat/1.png", FlatPng(2, 2, {1}));
  Write("train/dog/1.png", FlatPng(2, 2, {2}));
  Write("val/dog/1.png", FlatPng(2, 2, {3}));
  EXPECT_THAT(Open()->class_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(Open(DatasetSplit::kTest)->labels, ElementsAre(1));
  Write("test/cat/1.png", FlatPng(2, 2, {4}));
  EXPECT_THAT(Open(DatasetSplit::kTest)->labels, ElementsAre(0));
  EXPECT_THAT(Open()->warnings, ElementsAre(HasSubstr("val: is not used; test/")));
  Write("more/cat/1.png", FlatPng(2, 2, {4}));
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument, {"a folder inside a class's folder"});
}

TEST_F(OpenDatasetTest, SplitsMayHaveTables) {
  Write("train/a.png", FlatPng(1, 1, {1}));
  Write("train/b.png", FlatPng(1, 1, {2}));
  Write("train/metadata.csv", "file_name,label\na.png,dog\nb.png,cat\n");
  Write("test/a.png", FlatPng(1, 1, {3}));
  Write("test/metadata.csv", "file_name,label\na.png,dog\n");
  EXPECT_THAT(Open()->labels, ElementsAre(1, 0));
  const auto test = Open(DatasetSplit::kTest);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_THAT(test->labels, ElementsAre(1));
  EXPECT_THAT(test->class_names, ElementsAre("cat", "dog"));
}

TEST_F(OpenDatasetTest, ATableAboveTheSplitsIsSaidToBeOfNoUse) {
  for (const char* name : {"train/a.png", "train/b.png", "test/a.png"}) {
    Write(name, FlatPng(1, 1, {1}));
  }
  EXPECT_THAT(Open()->warnings, IsEmpty());
  for (const char* name : {"metadata.csv", "metadata.jsonl"}) {
    const auto table = Write(name, "file_name,label\ntrain/a.png,dog\ntrain/b.png,cat\n");
    for (const DatasetSplit split : {DatasetSplit::kTrain, DatasetSplit::kTest}) {
      const auto dataset = Open(split);
      ASSERT_TRUE(dataset.ok()) << dataset.status();
      EXPECT_THAT(dataset->labels, IsEmpty());
      EXPECT_THAT(dataset->warnings,
                  ElementsAre(table.string() +
                              ": is not used: train/ and test/ are read, each by a table of its "
                              "own or none"));
    }
    std::filesystem::remove(table);
  }
}

TEST_F(OpenDatasetTest, ItIsKnownWhetherNamesNumberTheClasses) {
  Write("cat/1.png", FlatPng(1, 1, {1}));
  Write("dog/1.png", FlatPng(1, 1, {2}));
  const auto folders = Open();
  EXPECT_TRUE(folders->numbered_by_name);
  EXPECT_TRUE(Select(*folders, std::vector<int64_t>{1}).numbered_by_name);
  const std::string rows = "file,label,class\ncat/1.png,";
  spec_.labels_csv = Write("labels.csv", rows + "1,cat\ndog/1.png,0,dog\n");
  EXPECT_FALSE(Open()->numbered_by_name);
  spec_.labels_csv = Write("labels.csv", rows + "cat,\ndog/1.png,dog,\n");
  EXPECT_TRUE(Open()->numbered_by_name);
}

TEST_F(OpenDatasetTest, GivenClassNamesReplaceTheDatasOwn) {
  Write("cat/1.png", FlatPng(2, 2, {1}));
  Write("dog/1.png", FlatPng(2, 2, {2}));
  spec_.class_names = {"Katze", "Hund", "Maus"};
  EXPECT_THAT(Open()->class_names, ElementsAre("Katze", "Hund", "Maus"));
  spec_.class_names = {"Katze"};
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument, {"image 1 is 1", "0 to 0"});
}

TEST_F(OpenDatasetTest, OptionsThatDoNotFitAreRefused) {
  Write("a.png", FlatPng(1, 1, {1}));
  spec_.class_names = {"x"};
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument,
                {"--class_names is given, but the data has no labels"});
  spec_ = {};
  Write("data_batch_1.bin", CifarRecord(1, 1, 1, 1));
  spec_.labels_csv = root() / "labels.csv";
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument,
                {"--labels_csv=" + spec_.labels_csv->string() + " is given, but CIFAR"});
  spec_ = {};
  spec_.path = root();
  spec_.resolution = 5;
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument,
                {"--resolution=5 is given, but", "stay 32 x 32"});
}

TEST_F(OpenDatasetTest, MaxImagesSpreadsOverTheClasses) {
  for (int i = 0; i < 4; ++i) {
    Write("a/" + std::to_string(i) + ".png", FlatPng(1, 1, {static_cast<uint8_t>(i)}));
    Write("b/" + std::to_string(i) + ".png", FlatPng(1, 1, {static_cast<uint8_t>(10 + i)}));
  }
  spec_.max_images = 4;
  const auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->pixels, ElementsAre(0, 2, 10, 12));
  EXPECT_THAT(dataset->labels, ElementsAre(0, 0, 1, 1));
  EXPECT_EQ(dataset->digest, DigestOf(*dataset));
  spec_.max_images = 100;
  EXPECT_EQ(Open()->size(), 8);
}

TEST_F(OpenDatasetTest, MaxImagesHoldsForIdx) {
  Write("train-images-idx3-ubyte", IdxImages(10, 1, 1));
  Write("train-labels-idx1-ubyte", IdxLabels({0, 0, 0, 0, 0, 1, 1, 1, 1, 1}));
  spec_.max_images = 2;
  const auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->pixels, ElementsAre(0, 5));
  EXPECT_THAT(dataset->labels, ElementsAre(0, 1));
  EXPECT_EQ(dataset->digest, DigestOf(*dataset));
}

TEST_F(OpenDatasetTest, MemoryLimitIsPassedOn) {
  Write("a.png", FlatPng(10, 10, {1}));
  spec_.max_bytes = 99;
  ExpectRefused(Open(), absl::StatusCode::kResourceExhausted,
                {"a.png", "takes 9.31e-08 GiB", "limit of 9.22e-08 GiB; --max_images takes fewer"});
}

TEST_F(OpenDatasetTest, NothingThereIsSaid) {
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument, {root().string(), "no images"});
  spec_.path = root() / "nowhere";
  ExpectRefused(Open(), absl::StatusCode::kNotFound, {"nowhere"});
  spec_.path = Write("notes.txt", "no data");
  ExpectRefused(Open(), absl::StatusCode::kInvalidArgument, {"notes.txt"});
}

}  // namespace
}  // namespace diffusiond
