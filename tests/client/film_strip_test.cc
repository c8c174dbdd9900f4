#include "client/film_strip.h"

#include <vector>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

Image Pixel(uint8_t level) { return {1, 1, 1, {level}}; }

// Strips of single pixels without gaps: what is where can be read off.
constexpr FilmStripOptions kPixels{.max_frames = 3, .min_side = 1, .gap = 0};

std::map<uint32_t, Image> Frames(int count, uint8_t first) {
  std::map<uint32_t, Image> frames;
  for (int i = 0; i < count; ++i) {
    frames[static_cast<uint32_t>(i) + 1] = Pixel(static_cast<uint8_t>(first + i));
  }
  return frames;
}

TEST(FilmStripTest, PutsXtAboveX0HatAndEndsBothWithTheImage) {
  const FilmReel reel{Frames(2, 10), Frames(2, 20), Pixel(99)};
  const Image strip = ComposeFilmStrip({{reel}}, kPixels);
  EXPECT_EQ(strip.width, 3);
  EXPECT_EQ(strip.height, 2);
  EXPECT_EQ(strip.pixels, (std::vector<uint8_t>{10, 11, 99, 20, 21, 99}));
}

TEST(FilmStripTest, OneKindIsOneRow) {
  const FilmReel reel{{}, Frames(2, 20), Pixel(99)};
  EXPECT_EQ(ComposeFilmStrip({{reel}}, kPixels).pixels, (std::vector<uint8_t>{20, 21, 99}));
}

TEST(FilmStripTest, ChoosesEvenlyFromFirstToLast) {
  const FilmReel reel{Frames(9, 0), {}, Pixel(99)};
  EXPECT_EQ(ComposeFilmStrip({{reel}}, kPixels).pixels, (std::vector<uint8_t>{0, 4, 8, 99}));
}

TEST(FilmStripTest, ReelsThatLostPreviewsKeepTheirLength) {
  const std::vector<FilmReel> reels = {{Frames(3, 0), {}, Pixel(98)},
                                       {Frames(1, 50), {}, Pixel(99)}};
  EXPECT_EQ(ComposeFilmStrip(reels, kPixels).pixels,
            (std::vector<uint8_t>{0, 1, 2, 98, 50, 50, 50, 99}));
}

TEST(FilmStripTest, WithoutPreviewsThereIsTheImageAlone) {
  const FilmReel reel{{}, {}, Pixel(99)};
  EXPECT_EQ(ComposeFilmStrip({{reel}}, kPixels).pixels, (std::vector<uint8_t>{99}));
  EXPECT_TRUE(ComposeFilmStrip({}, kPixels).pixels.empty());
}

TEST(FilmStripTest, EnlargesSmallFrames) {
  const FilmReel reel{{}, Frames(1, 7), {28, 28, 1, std::vector<uint8_t>(28 * 28, 1)}};
  EXPECT_EQ(ComposeFilmStrip({{reel}}, {.min_side = 84, .gap = 4}).height, 84 + 8);
}

TEST(SheetTest, IsARowOfAFewAndASquareOfMany) {
  const std::vector<Image> few(4, Pixel(1)), many(16, Pixel(1));
  const Image row = ComposeSheet(few, 10);
  EXPECT_EQ(row.width, 4 * 10 + 5 * 4);
  EXPECT_EQ(row.height, 10 + 2 * 4);
  const Image square = ComposeSheet(many, 10);
  EXPECT_EQ(square.width, square.height);
}

}  // namespace
}  // namespace diffusiond
