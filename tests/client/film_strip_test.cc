#include "client/film_strip.h"

#include <string>
#include <vector>

#include "client/bitmap_text.h"
#include "client/picture_labels.h"
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
  const Image row = ComposeSheet(few, {}, 10);
  EXPECT_EQ(row.width, 4 * 10 + 5 * 4);
  EXPECT_EQ(row.height, 10 + 2 * 4);
  const Image square = ComposeSheet(many, {}, 10);
  EXPECT_EQ(square.width, square.height);
}

// The part of `image` whose upper left corner is at (x, y).
std::vector<uint8_t> Part(const Image& image, int x, int y, int width, int height) {
  std::vector<uint8_t> pixels;
  for (int row = y; row < y + height; ++row) {
    const auto begin = image.pixels.begin() + row * image.width + x;
    pixels.insert(pixels.end(), begin, begin + width);
  }
  return pixels;
}

// `text` as it stands on paper of its own.
std::vector<uint8_t> Written(const std::string& text, int scale, int width, LabelStyle style) {
  Image image{width, kLetterHeight * scale, 1, {}};
  image.pixels.assign(static_cast<size_t>(width) * static_cast<size_t>(image.height), style.paper);
  DrawText(text, 0, 0, scale, style.ink, &image);
  return image.pixels;
}

Image Noise(uint8_t first) {
  Image image{84, 84, 1, std::vector<uint8_t>(84 * 84)};
  for (uint8_t& pixel : image.pixels) pixel = first = static_cast<uint8_t>(first * 5 + 3);
  return image;
}

PictureLabels TinyLabels() {
  v1::ResolvedParameters parameters;
  parameters.set_class_id(1);
  parameters.set_class_name("dot");
  parameters.set_seed(7);
  parameters.mutable_sampling()->set_sampler("ddim");
  parameters.mutable_sampling()->set_steps(20);
  parameters.set_first_image_index(9);
  return LabelsOf(parameters);
}

TEST(LabelsTest, SheetsSayTheRequestAboveAllAndTheIndexAboveEachImage) {
  const std::vector<Image> images = {Noise(1), Noise(2)};
  const Image sheet = ComposeSheet(images, TinyLabels());
  const int line = 2 * kLetterHeight;
  ASSERT_EQ(sheet.width, 2 * 84 + 3 * 4);
  ASSERT_EQ(sheet.height, 4 + 2 * line + 4 + line + 84 + 4);
  EXPECT_EQ(Part(sheet, 4, 4, 172, line), Written("dot, seed 7", 2, 172, {}));
  EXPECT_EQ(Part(sheet, 4, 4 + line, 172, line), Written("ddim 20 steps", 2, 172, {}));
  for (int i = 0; i < 2; ++i) {
    const int x = 4 + i * 88, y = 8 + 2 * line;
    EXPECT_EQ(Part(sheet, x, y, 84, line), Written(i == 0 ? "#9" : "#10", 2, 84, {}));
    EXPECT_EQ(Part(sheet, x, y + line, 84, 84), images[static_cast<size_t>(i)].pixels)
        << "no pixel of an image changes";
  }
}

TEST(LabelsTest, StripsSayTheStepAboveEachPreview) {
  const FilmReel reel{{{5, Noise(1)}, {10, Noise(2)}}, {{5, Noise(3)}}, Noise(4)};
  const Image strip = ComposeFilmStrip({{reel}}, {.labels = TinyLabels()});
  constexpr LabelStyle kFilm = {.paper = 24, .ink = 232};
  const int line = 2 * kLetterHeight, first = 4 + 2 * line + 4, second = first + line + 88;
  ASSERT_EQ(strip.height, second + line + 88);
  const auto label = [&](int column, int y) { return Part(strip, 4 + column * 88, y, 84, line); };
  EXPECT_EQ(label(0, first), Written("x_t 5", 2, 84, kFilm));
  EXPECT_EQ(label(1, first), Written("x_t 10", 2, 84, kFilm));
  EXPECT_EQ(label(2, first), Written("#9", 2, 84, kFilm));
  EXPECT_EQ(label(1, second), Written("x0 5", 2, 84, kFilm)) << "the frame that stands in";
  EXPECT_EQ(Part(strip, 92, first + line, 84, 84), reel.x_t.at(10).pixels);
}

TEST(LabelsTest, NothingOfACaptionIsLost) {
  const std::string seed = "seed 18446744073709551615";
  const std::vector<std::string> words = {"dot", seed};
  const Image one = WithCaption(Noise(1), words, 4, {});
  const int width = static_cast<int>(seed.size()) * kLetterWidth;
  ASSERT_EQ(one.width, width + 8) << "wider than the image";
  EXPECT_EQ(Part(one, 4, 4 + kLetterHeight, width, kLetterHeight), Written(seed, 1, width, {}));
  EXPECT_EQ(Part(one, 0, one.height - 84, 84, 84), Noise(1).pixels);
  v1::ResolvedParameters parameters;
  parameters.set_model(std::string(1 << 20, 'x'));
  EXPECT_EQ(LabelsOf(parameters).caption[0].size(), 60u) << "but for what no name is";
}

TEST(LabelsTest, SmallLettersAreTakenBeforeAnyIsCut) {
  EXPECT_EQ(LabelScale(std::vector<std::string>{"x_t 10", "#0"}, 84), 2);
  EXPECT_EQ(LabelScale(std::vector<std::string>{"x_t 1000", "#0"}, 84), 1);
  const Image cut = WithLabel({10, 1, 1, std::vector<uint8_t>(10, 9)}, "#12", 1, {});
  EXPECT_EQ(Part(cut, 0, 0, 10, kLetterHeight), Written("#", 1, 10, {}));
}

TEST(LabelsTest, AreLeftOutWhereTheyWouldMakeTheSheetTooLarge) {
  const std::vector<Image> images(1, {1, kMaxImageSide - 8, 1, std::vector<uint8_t>(8184, 1)});
  EXPECT_EQ(ComposeSheet(images, TinyLabels()).height, kMaxImageSide);
  EXPECT_TRUE(ComposeSheet({}, TinyLabels()).pixels.empty());
}

}  // namespace
}  // namespace diffusiond
