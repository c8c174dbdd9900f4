#include "model/training/data/image_folder.h"

#include "model/imaging/jpeg.h"
#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ImageFolderTest : public DataFixture {
 protected:
  absl::StatusOr<ImageDataset> Read(int64_t max_bytes = kMaxDatasetBytes) {
    absl::StatusOr<ImageList> list = ListImageFolder(root());
    return list.ok() ? ReadImages(*list, max_bytes) : list.status();
  }
};

TEST_F(ImageFolderTest, SubFoldersAreClassesInByteOrder) {
  Write("b/2.png", FlatPng(2, 2, {4}));
  Write("b/10.png", FlatPng(2, 2, {3}));
  Write("a/x.PNG", FlatPng(2, 2, {2}));
  Write("Z/y.png", FlatPng(2, 2, {1}));
  Write("README.md", "not an image");
  Write("a/.hidden.png", "not an image either");
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->class_names, ElementsAre("Z", "a", "b"));
  EXPECT_THAT(dataset->labels, ElementsAre(0, 1, 2, 2));
  EXPECT_THAT(dataset->pixels, ElementsAre(1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4));
}

TEST_F(ImageFolderTest, AFlatFolderIsUnlabelled) {
  Write("b.png", FlatPng(1, 2, {4, 5, 6}));
  Write("a.png", FlatPng(1, 2, {1, 2, 3}));
  Write("labels.txt", "");
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->channels, 3);
  EXPECT_EQ(dataset->height, 2);
  EXPECT_EQ(dataset->width, 1);
  EXPECT_THAT(dataset->labels, IsEmpty());
  EXPECT_THAT(dataset->class_names, IsEmpty());
  EXPECT_THAT(dataset->pixels, ElementsAre(1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6));
}

TEST_F(ImageFolderTest, ReadsJpegToo) {
  const Image grey{.width = 8, .height = 8, .channels = 1, .pixels = std::vector<uint8_t>(64, 90)};
  Write("a.jpg", *EncodeJpeg(grey, 95));
  Write("b.JPEG", *EncodeJpeg(grey, 95));
  Write("c.png", *EncodePng(grey));
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 3);
  for (const uint8_t value : dataset->pixels) EXPECT_NEAR(value, 90, 2);
}

TEST_F(ImageFolderTest, GreyAmongColourBecomesColour) {
  Write("a.png", FlatPng(1, 1, {7}));
  Write("b.png", FlatPng(1, 1, {8}));
  Write("c.png", FlatPng(1, 1, {1, 2, 3}));
  Write("d.png", FlatPng(1, 1, {9}));
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->channels, 3);
  EXPECT_THAT(dataset->pixels, ElementsAre(7, 7, 7, 8, 8, 8, 1, 2, 3, 9, 9, 9));
}

TEST_F(ImageFolderTest, MixedSizesAreRefusedWithTheFilesName) {
  Write("a/1.png", FlatPng(4, 4, {7}));
  Write("b/odd.png", FlatPng(4, 5, {7}));
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {"odd.png", "4 x 5", "4 x 4"});
}

TEST_F(ImageFolderTest, ACorruptImageIsRefusedWithItsName) {
  Write("1.png", FlatPng(4, 4, {7}));
  std::string bytes = FlatPng(4, 4, {7});
  bytes[bytes.size() / 2] ^= 1;
  Write("2-broken.png", bytes);
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {"2-broken.png", "PNG"});
  Write("2-broken.png", "");
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {"2-broken.png"});
}

TEST_F(ImageFolderTest, WrongLayoutsAreRefused) {
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {root().string(), "no images"});
  Write("notes.txt", "x");
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {root().string(), "no images"});
  std::filesystem::create_directory(root() / "empty-class");
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {"empty-class", "no images"});
  Write("empty-class/1.png", FlatPng(1, 1, {1}));
  EXPECT_TRUE(Read().ok());
  Write("beside.png", FlatPng(1, 1, {1}));
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {root().string(), "empty-class"});
  std::filesystem::remove(root() / "beside.png");
  Write("empty-class/deeper/1.png", FlatPng(1, 1, {1}));
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {"deeper"});
}

TEST_F(ImageFolderTest, AMissingFolderIsNotFound) {
  ExpectRefused(ListImageFolder(root() / "nowhere"), absl::StatusCode::kNotFound, {"nowhere"});
}

TEST_F(ImageFolderTest, MemoryLimitIsCheckedAtTheFirstImage) {
  Write("a.png", FlatPng(10, 10, {1, 2, 3}));
  Write("b.png", "broken, but never reached");
  ExpectRefused(Read(599), absl::StatusCode::kResourceExhausted, {"a.png", "2 images"});
}

TEST_F(ImageFolderTest, MemoryLimitCountsGreyTurnedColour) {
  Write("a.png", FlatPng(10, 10, {1}));
  Write("b.png", FlatPng(10, 10, {1, 2, 3}));
  EXPECT_TRUE(Read(600).ok());
  ExpectRefused(Read(599), absl::StatusCode::kResourceExhausted, {"b.png"});
}

}  // namespace
}  // namespace diffusiond
