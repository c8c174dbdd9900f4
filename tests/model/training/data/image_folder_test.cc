#include "model/training/data/image_folder.h"

#include "model/imaging/jpeg.h"
#include "model/training/data/read_images.h"
#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ImageFolderTest : public DataFixture {
 protected:
  absl::StatusOr<ImageDataset> Read() {
    absl::StatusOr<ImageList> list = ListImageFolder(root());
    return list.ok() ? ReadImages(*list) : list.status();
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

TEST_F(ImageFolderTest, PicturesAreKnownByTheirBytesWhereTheirNamesDoNotSay) {
  Write("camera", FlatPng(1, 1, {1}));
  Write("photo.dat", "GIF89a.............");
  Write("labels.txt", "a list of names");
  Write("Thumbs.db", "");
  const auto list = ListImageFolder(root());
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->files, ElementsAre(root() / "camera", root() / "photo.dat"));
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

}  // namespace
}  // namespace diffusiond
