#include "model/training/data/read_images.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ReadImagesTest : public DataFixture {
 protected:
  absl::StatusOr<ImageDataset> Read(const ReadOptions& options = {}) {
    absl::StatusOr<ImageList> list = ListImageFolder(root());
    return list.ok() ? ReadImages(*list, options) : list.status();
  }
};

TEST_F(ReadImagesTest, GreyAmongColourBecomesColour) {
  Write("a.png", FlatPng(1, 1, {7}));
  Write("b.png", FlatPng(1, 1, {8}));
  Write("c.png", FlatPng(1, 1, {1, 2, 3}));
  Write("d.png", FlatPng(1, 1, {9}));
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->channels, 3);
  EXPECT_THAT(dataset->pixels, ElementsAre(7, 7, 7, 8, 8, 8, 1, 2, 3, 9, 9, 9));
  EXPECT_THAT(dataset->warnings, IsEmpty());
}

TEST_F(ReadImagesTest, WhatCannotBeReadIsLeftOutAndNamedUpToTheShare) {
  for (const char* name : {"x/1.png", "x/3.png", "y/5.png"}) Write(name, FlatPng(1, 1, {7}));
  Write("x/2.bmp", std::string("BM\x36\x03\0\0\0\0\0\0\x36\0", 12));
  Write("y/4.png", "GIF89a........");
  const std::vector<std::string> named = {"2 of 5 images are left out",
                                          "x/2.bmp (picture is BMP, expected PNG, JPEG or WebP)",
                                          "y/4.png (picture is GIF"};
  ExpectRefused(Read({.max_left_out = 0.39}), absl::StatusCode::kFailedPrecondition, named);
  const auto dataset = Read({.max_left_out = 0.4});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->labels, ElementsAre(0, 0, 1));
  EXPECT_THAT(dataset->pixels, ElementsAre(7, 7, 7));
  EXPECT_THAT(dataset->warnings,
              ElementsAre(AllOf(HasSubstr(named[0]), HasSubstr(named[1]), HasSubstr(named[2]))));
}

TEST_F(ReadImagesTest, WithoutOneThatIsReadThereIsNoData) {
  Write("a.gif", "GIF89a........");
  ExpectRefused(Read({.max_left_out = 1}), absl::StatusCode::kInvalidArgument,
                {"none of the 1 images can be used: a.gif (picture is GIF"});
}

TEST_F(ReadImagesTest, ADamagedImageIsNamed) {
  Write("1.png", FlatPng(4, 4, {7}));
  std::string bytes = FlatPng(4, 4, {7});
  bytes[bytes.size() / 2] ^= 1;
  Write("2-broken.png", bytes);
  ExpectRefused(Read(), absl::StatusCode::kFailedPrecondition, {"2-broken.png (PNG"});
  Write("2-broken.png", "");
  ExpectRefused(Read(), absl::StatusCode::kFailedPrecondition, {"2-broken.png"});
}

TEST_F(ReadImagesTest, OfMixedSizesTheFewAreNamed) {
  Write("a/odd.png", FlatPng(4, 5, {7}));
  Write("b/1.png", FlatPng(4, 4, {7}));
  Write("b/2.png", FlatPng(4, 4, {7}));
  Write("b/3.png", FlatPng(47, 33, {7}));
  Write("b/4.png", "no picture");
  const auto refused = Read({.max_left_out = 0.5});
  ExpectRefused(refused, absl::StatusCode::kInvalidArgument,
                {"3 sizes; 2 are 4 x 4", "a/odd.png (4 x 5)", "b/3.png (47 x 33)", "b/4.png"});
}

TEST_F(ReadImagesTest, TwentyAreNamedAndTheRestCounted) {
  Write("0.png", FlatPng(1, 1, {7}));
  for (int i = 0; i < 23; ++i) Write("x" + std::to_string(10 + i) + ".gif", "GIF89a........");
  const std::string message(Read().status().message());
  EXPECT_THAT(message, HasSubstr("23 of 24"));
  EXPECT_THAT(message, HasSubstr("x29.gif"));
  EXPECT_THAT(message, HasSubstr("and 3 more"));
  EXPECT_THAT(message, Not(HasSubstr("x30.gif")));
  for (int i = 0; i < 30; ++i) Write("y" + std::to_string(10 + i) + ".png", FlatPng(1, 2, {7}));
  for (int i = 0; i < 21; ++i) Write("z" + std::to_string(10 + i) + ".png", FlatPng(2, 2, {7}));
  const std::string sizes(Read().status().message());
  EXPECT_THAT(sizes, HasSubstr("30 are 1 x 2"));
  EXPECT_THAT(sizes, HasSubstr("and 2 more"));
}

TEST_F(ReadImagesTest, ResolutionAndCropBringPhotosToOneSize) {
  Write("a.png", FlatPng(47, 33, {7}));
  Write("b.png", FlatPng(16, 20, {1, 2, 3}));
  Write("c.png", FlatPng(5, 5, {9}));
  ExpectRefused(Read(), absl::StatusCode::kInvalidArgument, {"--resolution=SIDE --center_crop"});
  ExpectRefused(Read({.resolution = 8}), absl::StatusCode::kInvalidArgument,
                {"11 x 8", "8 x 10", "--center_crop or --random_crop"});
  const auto dataset = Read({.resolution = 8, .crop = Crop::kCenter});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->width, 8);
  EXPECT_EQ(dataset->height, 8);
  EXPECT_EQ(dataset->image(0)[0], 7);
  EXPECT_EQ(dataset->image(1)[64], 2);
  EXPECT_EQ(dataset->image(2)[191], 9);
  EXPECT_THAT(dataset->uncropped, IsEmpty());
}

TEST_F(ReadImagesTest, RandomCropKeepsTheRest) {
  Write("a.png", FlatPng(8, 4, {7}));
  Write("b.png", FlatPng(4, 6, {1, 2, 3}));
  const auto dataset = Read({.resolution = 4, .crop = Crop::kRandom});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const auto center = Read({.resolution = 4, .crop = Crop::kCenter});
  EXPECT_EQ(dataset->pixels, center->pixels);
  ASSERT_EQ(dataset->uncropped.size(), 2u);
  EXPECT_EQ(dataset->uncropped[0].width, 8);
  EXPECT_EQ(dataset->uncropped[0].pixels, std::vector<uint8_t>(3 * 8 * 4, 7)) << "grey made colour";
  EXPECT_EQ(dataset->uncropped[1].height, 6);
  EXPECT_NE(DigestOf(*dataset), DigestOf(*center));
  constexpr int64_t kBytes = 3 * (2 * 4 * 4 + 8 * 4 + 4 * 6);
  EXPECT_TRUE(Read({.max_bytes = kBytes, .resolution = 4, .crop = Crop::kRandom}).ok());
  ExpectRefused(Read({.max_bytes = kBytes - 1, .resolution = 4, .crop = Crop::kRandom}),
                absl::StatusCode::kResourceExhausted, {"b.png", "around its windows"});
}

TEST_F(ReadImagesTest, MemoryLimitIsCheckedAtTheFirstImage) {
  Write("a.png", FlatPng(10, 10, {1, 2, 3}));
  Write("b.png", "broken, but never reached");
  ExpectRefused(Read({.max_bytes = 599}), absl::StatusCode::kResourceExhausted,
                {"a.png", "2 images"});
}

TEST_F(ReadImagesTest, MemoryLimitCountsGreyTurnedColour) {
  Write("a.png", FlatPng(10, 10, {1}));
  Write("b.png", FlatPng(10, 10, {1, 2, 3}));
  EXPECT_TRUE(Read({.max_bytes = 600}).ok());
  ExpectRefused(Read({.max_bytes = 599}), absl::StatusCode::kResourceExhausted, {"b.png"});
}

TEST_F(ReadImagesTest, ResizedImagesAreKeptForTheNextTime) {
  const std::filesystem::path cache = root().string() + "-cache";
  std::filesystem::remove_all(cache);
  Write("a.png", FlatPng(4, 2, {7}));
  Write("b.png", FlatPng(2, 4, {1, 2, 3}));
  const ReadOptions options = {.resolution = 2, .crop = Crop::kCenter, .cache = cache};
  const auto files = [&cache] {
    return std::distance(std::filesystem::directory_iterator(cache), {});
  };
  const auto first = Read(options);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->pixels, Read({.resolution = 2, .crop = Crop::kCenter})->pixels);
  EXPECT_EQ(files(), 2);
  // What is read again is what was kept: it is made to tell.
  for (const auto& entry : std::filesystem::directory_iterator(cache)) {
    std::ofstream(entry.path(), std::ios::binary) << FlatPng(2, 2, {99});
  }
  EXPECT_THAT(Read(options)->pixels, testing::Each(99));
  EXPECT_EQ(Read({.resolution = 1, .crop = Crop::kCenter, .cache = cache})->height, 1);
  EXPECT_EQ(files(), 4) << "another resolution is kept beside it";
  // An original that has changed is read anew.
  Write("a.png", FlatPng(6, 6, {50}));
  EXPECT_THAT(std::vector<uint8_t>(Read(options)->pixels).front(), 50);
  // So is one whose place is damaged.
  for (const auto& entry : std::filesystem::directory_iterator(cache)) {
    std::ofstream(entry.path(), std::ios::binary) << "damaged";
  }
  EXPECT_THAT(Read(options)->pixels, ElementsAre(50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 1,
                                                 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));
  std::filesystem::remove_all(cache);
}

TEST_F(ReadImagesTest, ACacheThatCannotBeWrittenIsWarnedOfOnce) {
  Write("a.png", FlatPng(4, 4, {7}));
  Write("b.png", FlatPng(4, 4, {8}));
  const auto dataset =
      Read({.resolution = 2, .crop = Crop::kCenter, .cache = root() / "a.png" / "below"});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 2);
  EXPECT_THAT(dataset->warnings, ElementsAre(HasSubstr("resized images are not kept: ")));
}

}  // namespace
}  // namespace diffusiond
