// The command `grid`, and how labelled images lie on its picture.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "client/bitmap_text.h"
#include "client/image_grid.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/imaging/png.h"
#include "tests/client/diffusionctl_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Image Grey(int side, uint8_t level) {
  return {side, side, 1, std::vector<uint8_t>(static_cast<size_t>(side) * side, level)};
}

std::string Drawn(absl::string_view text, int width) {
  Image image{width, 7, 1, std::vector<uint8_t>(static_cast<size_t>(width) * 7, 255)};
  DrawText(text, 0, 0, 1, 0, &image);
  std::string rows;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    rows += image.pixels[i] == 0 ? '#' : '.';
    if ((i + 1) % static_cast<size_t>(width) == 0) rows += '\n';
  }
  return rows;
}

TEST(DrawTextTest, WritesLettersSideBySide) {
  EXPECT_EQ(Drawn("t1", 11),
            "#####...#..\n"
            "..#....##..\n"
            "..#.....#..\n"
            "..#.....#..\n"
            "..#.....#..\n"
            "..#.....#..\n"
            "..#....###.\n");
  EXPECT_EQ(Drawn("\xc3", 5), Drawn("\x01", 5)) << "a box for what there is no letter for";
  EXPECT_EQ(Drawn("tt", 6).size(), 7u * 7) << "what is outside is left out";
}

TEST(ComposeGridTest, PutsLabelsAboveColumnsAndLeftOfRows) {
  const std::vector<Image> images = {Grey(42, 10), Grey(42, 20), Grey(42, 30), Grey(42, 40)};
  const Image plain = ComposeGrid(images, {"", ""}, {"", ""});
  EXPECT_EQ(plain.width, 4 + 2 * 88);
  EXPECT_EQ(plain.height, 4 + 2 * 88);
  const Image labelled = ComposeGrid(images, {"a", "b"}, {"1", "2"});
  const int left = kLetterWidth * 2 + 8, top = kLetterHeight * 2 + 8;
  EXPECT_EQ(labelled.width, left + 2 * 88);
  EXPECT_EQ(labelled.height, top + 2 * 88);
  const auto at = [&](int x, int y) {
    return labelled.pixels[static_cast<size_t>(y) * labelled.width + static_cast<size_t>(x)];
  };
  EXPECT_EQ(at(left, top), 10);
  EXPECT_EQ(at(left + 88, top), 20);
  EXPECT_EQ(at(left, top + 88), 30);
  EXPECT_EQ(at(left + 88 + 83, top + 88 + 83), 40);
  EXPECT_EQ(at(left + 2 * 2, 4), 0) << "the point of the a";
  const Image wide = ComposeGrid(images, {"steps=1000", ""}, {"", ""});
  EXPECT_EQ(wide.width, 4 + 2 * (10 * kLetterWidth * 2 + 4)) << "no label runs into the next";
}

class GridTest : public DiffusionctlTest {
 protected:
  GridTest() {
    Serve({.events_for =
               [](const v1::GenerateRequest& request) { return TinyStream(request.count(), 2); },
           .models = {TinyModel()}});
  }
};

TEST_F(GridTest, DrawsEveryCombinationWithOneSeed) {
  ASSERT_EQ(Run({"grid", "--x=steps:5,10", "--y=sampler:ddim,ddpm,unipc", "--class=t_shirt_top",
                 "--eta=0.5", "--out=" + Path("g.png")}),
            kExitOk)
      << err();
  std::vector<std::string> asked;
  for (const FakeCall& call : server_->calls()) {
    const v1::GenerateRequest& request = call.request;
    asked.push_back(request.sampling().sampler() + std::to_string(request.sampling().steps()));
    EXPECT_EQ(request.count(), 1u);
    EXPECT_EQ(request.class_name(), "T-shirt/top");
    EXPECT_EQ(request.sampling().eta(), 0.5f);
    EXPECT_EQ(request.has_seed(), asked.size() > 1);
    EXPECT_EQ(request.seed(), asked.size() > 1 ? 7u : 0u) << "the one drawn for the first";
  }
  EXPECT_THAT(asked, ElementsAre("ddim5", "ddim10", "ddpm5", "ddpm10", "unipc5", "unipc10"));
  const auto grid = DecodePng(Contents("g.png"));
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_GT(grid->height, 3 * 84);
  EXPECT_THAT(err(), HasSubstr("6 of 6: steps=10, sampler=unipc"));
  EXPECT_EQ(out(), "grid     " + Path("g.png") + "\n");
}

TEST_F(GridTest, VariesSeedAndClassToo) {
  ASSERT_EQ(Run({"grid", "--x=seed:1,2", "--y=class:0,t-shirt-top", "--out=-", "--quiet"}), kExitOk)
      << err();
  const std::vector<FakeCall> calls = server_->calls();
  ASSERT_EQ(calls.size(), 4u);
  EXPECT_EQ(calls[1].request.seed(), 2u);
  EXPECT_EQ(calls[1].request.class_id(), 0u);
  EXPECT_EQ(calls[2].request.class_name(), "T-shirt/top");
  EXPECT_TRUE(DecodePng(out()).ok()) << "standard output has the picture alone";
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(GridTest, RefusesWhatItCannotVaryBeforeAnythingIsDrawn) {
  const std::pair<std::vector<std::string>, const char*> kWrong[] = {
      {{"grid"}, "--x=NAME:V1,V2"},
      {{"grid", "--x=steps"}, "expected NAME:V1,V2"},
      {{"grid", "--x=stpes:1,2"}, "did you mean steps?"},
      {{"grid", "--x=steps:1,many"}, "--x: steps is 'many', expected 1..100000"},
      {{"grid", "--x=steps:1", "--y=seed:-1"}, "--y: seed is '-1'"},
      {{"grid", "--x=steps:2,-1"}, "--x: steps: -1 is not in 1 .. 100000"},
      {{"grid", "--x=steps:2,3", "--y=steps:2"}, "--x and --y both vary steps"},
      {{"grid", "--x=steps:2,3", "--steps=20"}, "--steps is given, and --x varies it"},
      {{"grid", "--x=steps:2", "--y=seed:3,4", "--seed=1"}, "--seed is given, and --y varies it"},
      {{"grid", "--x=class:a,b", "--class=c"}, "--class is given, and --x varies it"},
      {{"grid", "--x=steps:" + absl::StrJoin(std::vector<int>(30, 1), ","),
        "--y=seed:" + absl::StrJoin(std::vector<int>(20, 1), ",")},
       "--x has 30 values and --y 20, which is 600 images, expected at most 400"},
      {{"grid", "--x=steps:1", "--out=g.webp"}, "a grid is a PNG file"}};
  for (const auto& [line, says] : kWrong) {
    EXPECT_EQ(Run(line), kExitUsage) << says;
    EXPECT_THAT(err(), HasSubstr(says));
  }
  EXPECT_THAT(server_->calls(), IsEmpty());
}

TEST_F(GridTest, NamesTheImageThatTheServerRefuses) {
  Serve({.status = {grpc::StatusCode::INVALID_ARGUMENT, "too few"}, .models = {TinyModel()}});
  EXPECT_EQ(Run({"grid", "--x=steps:1,2", "--out=" + Path("g.png")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("steps=1: "));
  EXPECT_THAT(err(), HasSubstr("too few"));
  EXPECT_THAT(Files(), IsEmpty());
}

}  // namespace
}  // namespace diffusiond
