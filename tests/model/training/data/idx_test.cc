#include "model/training/data/idx.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string WithoutItsEnd(const std::string& bytes) { return bytes.substr(0, bytes.size() - 4); }

class IdxTest : public DataFixture {};

TEST_F(IdxTest, ReadsPlainAndGzip) {
  for (const bool gzip : {false, true}) {
    const auto images = Write("images", gzip ? Gzip(IdxImages(3, 2, 4)) : IdxImages(3, 2, 4));
    const auto labels =
        Write("labels", gzip ? Gzip(IdxLabels({2, 255, 0})) : IdxLabels({2, 255, 0}));
    const auto dataset = ReadIdx(images, labels);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ(dataset->size(), 3);
    EXPECT_EQ(dataset->channels, 1);
    EXPECT_EQ(dataset->height, 2);
    EXPECT_EQ(dataset->width, 4);
    EXPECT_THAT(dataset->image(1), ElementsAre(8, 9, 10, 11, 12, 13, 14, 15));
    EXPECT_THAT(dataset->labels, ElementsAre(2, 255, 0));
  }
}

TEST_F(IdxTest, LabelsMayBeAbsent) {
  const auto dataset = ReadIdx(Write("images", IdxImages(2, 2, 2)), std::nullopt);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->labels, IsEmpty());
}

TEST_F(IdxTest, WrongImagesAreRefusedWithTheirFileName) {
  const std::string good = IdxImages(3, 2, 4);
  std::string claims_much = good;
  claims_much.replace(4, 12, std::string(12, '\x7f'));
  std::string claims_most = good;
  claims_most.replace(4, 12, BigEndian(0xffffffff) + BigEndian(8192) + BigEndian(8192));
  struct Case {
    const char* what;
    std::string bytes;
    const char* expected;
  };
  const Case cases[] = {
      {"empty", "", "0 bytes"},
      {"header only half there", good.substr(0, 10), "10 bytes"},
      {"truncated", good.substr(0, good.size() - 1), "holds 23 values, its header says 24"},
      {"too long", good + "x", "holds 25 values, its header says 24"},
      {"labels for images", IdxLabels(std::vector<int>(20, 1)), "0x00000801, expected 0x00000803"},
      {"no images", IdxImages(0, 2, 4), "size 0 is 0"},
      {"no rows", IdxImages(3, 0, 4), "size 1 is 0"},
      {"sides claimed too large", claims_much, "size 1 is"},
      {"size claimed too large", claims_most, "its header says"},
      {"truncated gzip", Gzip(good).substr(0, 20), "truncated"},
      {"gzip of too long", Gzip(good + "x"), "more than the 24 values"},
      {"gzip of far too long", Gzip(good + std::string(10'000'000, 'x')),
       "more than the 24 values"},
      {"gzip of truncated", Gzip(good.substr(0, good.size() - 1)), "holds 23 values"},
      {"a PNG", FlatPng(2, 2, {1}),
       "is no idx file of images: its magic is 0x89504e47, expected 0x00000803; --data takes idx"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    ExpectRefused(ReadIdx(Write("wrong-images", c.bytes), std::nullopt),
                  absl::StatusCode::kInvalidArgument, {"wrong-images", c.expected});
  }
}

TEST_F(IdxTest, WrongLabelsAreRefusedWithTheirFileName) {
  const auto images = Write("images", IdxImages(3, 2, 4));
  struct Case {
    const char* what;
    std::string bytes;
    const char* expected;
  };
  const Case cases[] = {
      {"fewer than images", IdxLabels({1, 2}), "2 labels for 3 images"},
      {"more than images", IdxLabels({1, 2, 3, 4}), "4 labels for 3 images"},
      {"truncated", IdxLabels({1, 2, 3}).substr(0, 10), "holds 2 values, its header says 3"},
      {"images for labels", IdxImages(3, 2, 4), "0x00000803, expected 0x00000801"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    ExpectRefused(ReadIdx(images, Write("wrong-labels", c.bytes)),
                  absl::StatusCode::kInvalidArgument, {"wrong-labels", c.expected});
  }
}

TEST_F(IdxTest, MissingFilesAreNotFound) {
  ExpectRefused(ReadIdx(root() / "nowhere", std::nullopt), absl::StatusCode::kNotFound,
                {"nowhere"});
  ExpectRefused(ReadIdx(Write("images", IdxImages(1, 2, 2)), root() / "no-labels"),
                absl::StatusCode::kNotFound, {"no-labels"});
}

TEST_F(IdxTest, MemoryLimitHoldsForPlainAndGzip) {
  for (const bool gzip : {false, true}) {
    const std::string bytes = IdxImages(100, 10, 10);
    const auto images = Write("images", gzip ? Gzip(bytes) : bytes);
    EXPECT_TRUE(ReadIdx(images, std::nullopt, 10'000).ok());
    ExpectRefused(ReadIdx(images, std::nullopt, 9'999), absl::StatusCode::kResourceExhausted,
                  {"images"});
  }
}

// A file that says how much it holds is not expanded to find out that it does not fit: its last
// bytes are missing, and nobody has looked.
TEST_F(IdxTest, TheHeaderIsJudgedBeforeTheRestIsExpanded) {
  const std::string large = WithoutItsEnd(Gzip(IdxImages(100, 10, 10)));
  ExpectRefused(ReadIdx(Write("images", large), std::nullopt, 9'999),
                absl::StatusCode::kResourceExhausted, {"images"});
  const auto images = Write("images", IdxImages(3, 2, 4));
  const std::string labels = WithoutItsEnd(Gzip(IdxLabels(std::vector<int>(5000, 1))));
  ExpectRefused(ReadIdx(images, Write("labels", labels)), absl::StatusCode::kInvalidArgument,
                {"5000 labels for 3 images"});
}

TEST_F(IdxTest, DamagedFilesNeverCrash) {
  for (const std::string& original : {IdxImages(3, 2, 4), Gzip(IdxImages(3, 2, 4))}) {
    for (size_t i = 0; i < original.size(); ++i) {
      for (const int mask : {0x01, 0x10, 0x80, 0xff}) {
        std::string damaged = original;
        damaged[i] = static_cast<char>(damaged[i] ^ mask);
        const auto dataset = ReadIdx(Write("images", damaged), std::nullopt, 100'000);
        if (dataset.ok()) {
          ASSERT_EQ(dataset->size() * dataset->image_bytes(), 24) << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace diffusiond
