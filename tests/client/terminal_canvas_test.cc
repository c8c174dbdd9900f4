#include "client/terminal_canvas.h"

#include <map>
#include <string>
#include <vector>

#include "client/terminal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

TEST(DrawImageTest, PutsTwoPixelsIntoACellOfTrueColor) {
  const Image image{2, 2, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7}};
  const TextBlock block = DrawImage(image, ColorMode::kTrueColor);
  EXPECT_EQ(block.columns, 2);
  EXPECT_THAT(block.lines,
              ElementsAre("\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[38;2;0;255;0;48;2;9;8;7m▀\x1b[0m"));
}

TEST(DrawImageTest, RepeatsNoColorThatIsInForce) {
  const Image grey{3, 2, 1, {10, 10, 10, 20, 20, 30}};
  EXPECT_THAT(DrawImage(grey, ColorMode::kTrueColor).lines,
              ElementsAre("\x1b[38;2;10;10;10;48;2;20;20;20m▀▀\x1b[48;2;30;30;30m▀\x1b[0m"));
}

TEST(DrawImageTest, LeavesTheBackgroundUnderAnOddLastRow) {
  const Image grey{1, 3, 1, {1, 2, 3}};
  EXPECT_THAT(DrawImage(grey, ColorMode::kTrueColor).lines,
              ElementsAre("\x1b[38;2;1;1;1;48;2;2;2;2m▀\x1b[0m", "\x1b[38;2;3;3;3m▀\x1b[0m"));
}

TEST(DrawImageTest, Uses256ColorsWhereThereAreNoMore) {
  const Image grey{1, 2, 1, {0, 255}};
  EXPECT_THAT(DrawImage(grey, ColorMode::k256).lines,
              ElementsAre("\x1b[38;5;16;48;5;231m▀\x1b[0m"));
}

TEST(DrawImageTest, ShadesWithoutAnyEscapeCodeWhereThereIsNoColor) {
  const Image grey{5, 2, 1, {0, 64, 128, 191, 255, 0, 64, 128, 191, 255}};
  EXPECT_THAT(DrawImage(grey, ColorMode::kNone).lines, ElementsAre(" ░▒▓█"));
}

struct XtermCase {
  int red, green, blue, index;
};

class NearestXtermColorTest : public testing::TestWithParam<XtermCase> {};

TEST_P(NearestXtermColorTest, IsTheNearestOfCubeAndRamp) {
  const XtermCase& c = GetParam();
  EXPECT_EQ(NearestXtermColor(c.red, c.green, c.blue), c.index);
}

INSTANTIATE_TEST_SUITE_P(Colors, NearestXtermColorTest,
                         testing::Values(XtermCase{0, 0, 0, 16}, XtermCase{255, 255, 255, 231},
                                         XtermCase{8, 8, 8, 232}, XtermCase{128, 128, 128, 244},
                                         XtermCase{255, 0, 0, 196}, XtermCase{95, 135, 175, 67},
                                         XtermCase{238, 238, 238, 255}));

TEST(FitToCellsTest, EnlargesByWholeFactorsOnly) {
  const Image image{10, 10, 1, std::vector<uint8_t>(100, 5)};
  EXPECT_EQ(FitToCells(image, 35, 100).width, 30);
  EXPECT_EQ(FitToCells(image, 100, 100, 2).width, 20);
}

TEST(FitToCellsTest, CountsTwoPixelsToALine) {
  const Image image{10, 10, 1, std::vector<uint8_t>(100, 5)};
  EXPECT_EQ(FitToCells(image, 100, 10).height, 20);
}

TEST(FitToCellsTest, ReducesByTheMeanOfWhatAPixelCovers) {
  const Image image{3, 2, 1, {0, 90, 180, 0, 90, 180}};
  const Image fitted = FitToCells(image, 2, 100);
  ASSERT_EQ(fitted.width, 2);
  ASSERT_EQ(fitted.height, 1);
  // Each pixel covers one and a half columns.
  EXPECT_THAT(fitted.pixels, ElementsAre(30, 150));
}

TEST(BesideEachOtherTest, PadsShorterBlocksWithBlanks) {
  const std::vector<TextBlock> blocks = {{2, {"ab"}}, {1, {"x", "y"}}};
  const TextBlock joined = BesideEachOther(blocks, 1);
  EXPECT_EQ(joined.columns, 4);
  EXPECT_THAT(joined.lines, ElementsAre("ab x", "   y"));
}

struct GridCase {
  const char* name;
  int count, side, columns, lines, bands;
  int shown, per_row, min_side;  // Expected; min_side in pixels.
};

class LayOutGridTest : public testing::TestWithParam<GridCase> {};

TEST_P(LayOutGridTest, ShowsPicturesAsLargeAsTheyFit) {
  const GridCase& c = GetParam();
  const GridLayout grid = LayOutGrid(
      c.count, c.side, c.side,
      {.columns = c.columns, .lines = c.lines, .column_gap = 2, .line_gap = 0, .bands = c.bands});
  EXPECT_EQ(grid.shown, c.shown);
  EXPECT_EQ(grid.per_row, c.per_row);
  EXPECT_GE(std::min(grid.cell_columns, 2 * grid.cell_lines), c.min_side);
  EXPECT_LE(grid.per_row * grid.cell_columns + 2 * (grid.per_row - 1), c.columns);
  const int rows = (grid.shown + grid.per_row - 1) / grid.per_row;
  EXPECT_LE(rows * grid.cell_lines * c.bands, c.lines);
}

INSTANTIATE_TEST_SUITE_P(
    Terminals, LayOutGridTest,
    testing::Values(GridCase{"FourInARowOfAWideTerminal", 4, 28, 120, 14, 1, 4, 4, 28},
                    GridCase{"FourOnASmallTerminalInBothKinds", 4, 28, 77, 19, 2, 4, 4, 17},
                    GridCase{"TwoByTwoWhereItIsTall", 4, 32, 70, 40, 1, 4, 2, 32},
                    GridCase{"EvenRowsWhereARowTakesThree", 4, 28, 100, 40, 1, 4, 2, 28},
                    GridCase{"OneRowWhereTwoCostLittleMore", 4, 28, 110, 40, 1, 4, 4, 26},
                    GridCase{"OneLarge", 1, 28, 77, 40, 1, 1, 1, 56},
                    GridCase{"LeavesOutWhatWouldBeTooSmall", 400, 28, 77, 20, 1, 15, 5, 12},
                    GridCase{"SmallPicturesAreNotTooSmall", 4, 4, 30, 4, 1, 4, 4, 4}),
    [](const auto& info) { return info.param.name; });

struct ColorCase {
  const char* name;
  std::map<std::string, std::string> environment;
  ColorMode expected;
};

class ColorModeTest : public testing::TestWithParam<ColorCase> {};

TEST_P(ColorModeTest, IsReadFromTheEnvironment) {
  const auto& environment = GetParam().environment;
  EXPECT_EQ(ColorModeOf([&environment](const char* name) -> const char* {
              const auto found = environment.find(name);
              return found == environment.end() ? nullptr : found->second.c_str();
            }),
            GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Environments, ColorModeTest,
    testing::Values(ColorCase{"Nothing", {}, ColorMode::kNone},
                    ColorCase{"Dumb", {{"TERM", "dumb"}}, ColorMode::kNone},
                    ColorCase{"Xterm256", {{"TERM", "xterm-256color"}}, ColorMode::k256},
                    ColorCase{"TrueColor",
                              {{"TERM", "xterm-256color"}, {"COLORTERM", "truecolor"}},
                              ColorMode::kTrueColor},
                    ColorCase{"Direct", {{"TERM", "xterm-direct"}}, ColorMode::kTrueColor},
                    ColorCase{"NoColorWins",
                              {{"TERM", "xterm"}, {"COLORTERM", "24bit"}, {"NO_COLOR", "1"}},
                              ColorMode::kNone},
                    ColorCase{"EmptyNoColorCountsNothing",
                              {{"COLORTERM", "24bit"}, {"TERM", "xterm"}, {"NO_COLOR", ""}},
                              ColorMode::kTrueColor}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace diffusiond
