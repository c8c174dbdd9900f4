#include "model/training/options/network_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace diffusiond {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kPlain[] = "DownBlock2D";
constexpr char kAttention[] = "AttnDownBlock2D";

ImageDataset ImagesOf(int height, int width) {
  ImageDataset data;
  data.channels = 3;
  data.height = height;
  data.width = width;
  return data;
}

NetworkShape ShapeWith(std::vector<std::string> attention_at) {
  return {.channels = {"32", "64", "96"},
          .attention_at = std::move(attention_at),
          .norm_num_groups = 8};
}

TEST(NetworkShapeTest, AutoAttentionIsAtASmallLastLevelOfAnySize) {
  struct Case {
    int height, width;
    bool attention;
  };
  for (const Case& c : {Case{28, 28, true},
                        {32, 32, true},
                        {64, 64, true},
                        {28, 80, true},
                        {128, 128, false},
                        {64, 68, false}}) {
    CheckpointConfig model;
    const absl::Status status =
        DescribeModel(ShapeWith({"auto"}), ImagesOf(c.height, c.width), &model);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_THAT(model.unet.down_block_types,
                ElementsAre(kPlain, kPlain, c.attention ? kAttention : kPlain))
        << c.height << " x " << c.width;
    EXPECT_EQ(model.unet.up_block_types[0], c.attention ? "AttnUpBlock2D" : "UpBlock2D");
  }
}

TEST(NetworkShapeTest, AttentionIsWhereTheListSays) {
  struct Case {
    std::vector<std::string> attention_at;
    std::vector<std::string> expected;
  };
  for (const Case& c : {Case{{"16"}, {kPlain, kAttention, kPlain}},
                        {{"8", "32"}, {kAttention, kPlain, kAttention}},
                        {{"none"}, {kPlain, kPlain, kPlain}},
                        {{""}, {kPlain, kPlain, kPlain}},
                        {{}, {kPlain, kPlain, kPlain}}}) {
    CheckpointConfig model;
    const absl::Status status = DescribeModel(ShapeWith(c.attention_at), ImagesOf(32, 32), &model);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(model.unet.down_block_types, c.expected);
    EXPECT_EQ(model.unet.add_attention, c.attention_at != std::vector<std::string>{"none"});
  }
}

TEST(NetworkShapeTest, WhatDoesNotFitIsNamedByItsFlag) {
  CheckpointConfig model;
  NetworkShape shape = ShapeWith({"none"});
  shape.channels = {"16", "24", "32", "48"};
  EXPECT_THAT(std::string(DescribeModel(shape, ImagesOf(28, 28), &model).message()),
              HasSubstr("--channels has 4 levels, each of which after the first halves the image: "
                        "images of 28 x 28 allow at most 3"));
  shape.channels = {"16", "20"};
  EXPECT_THAT(std::string(DescribeModel(shape, ImagesOf(28, 28), &model).message()),
              HasSubstr("--channels[1] is 20, expected a multiple of --norm_num_groups = 8"));
}

TEST(NetworkShapeTest, AttentionWhereNoLevelIsIsRefused) {
  struct Case {
    std::vector<std::string> attention_at;
    const char* message;
  };
  for (const Case& c :
       {Case{{"7"}, "--attention_at has 7; the levels' heights are 32, 16, 8"},
        {{"8", "auto"}, "--attention_at has \"auto\"; it must be auto, none, or a list"},
        {{"none", "8"}, "--attention_at has \"none\"; it must be auto, none, or a list"},
        {{"-8"}, "--attention_at has \"-8\"; it must be auto, none, or a list"}}) {
    CheckpointConfig model;
    const absl::Status status = DescribeModel(ShapeWith(c.attention_at), ImagesOf(32, 32), &model);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
}

TEST(NetworkShapeTest, MoreLevelsThanHalvingsAreRefusedNotShifted) {
  CheckpointConfig model;
  NetworkShape shape = ShapeWith({"auto"});
  shape.channels.assign(70, "32");
  EXPECT_EQ(DescribeModel(shape, ImagesOf(32, 32), &model).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(NetworkShapeTest, AnImageTooLargeIsSaidToBeOne) {
  CheckpointConfig model;
  const absl::Status status = DescribeModel(ShapeWith({"none"}), ImagesOf(8192, 8192), &model);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the image's side is 8192, expected 1 to"));
}

}  // namespace
}  // namespace diffusiond
