#include "model/evaluation/nearest_images.h"

#include <cmath>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

// Three images of two values each: (0, 0), (255, 0), (255, 255), in bytes.
ImageDataset Corners() {
  ImageDataset data;
  data.channels = 1;
  data.height = 1;
  data.width = 2;
  data.pixels = {0, 0, 255, 0, 255, 255};
  return data;
}

Frame Values(float first, float second) { return {1, 1, 2, {first, second}}; }

TEST(NearestImagesTest, IsTheLeastRootMeanSquareInModelRange) {
  const NearestImage nearest = FindNearest(Corners(), Values(0.5f, -0.75f));
  EXPECT_EQ(nearest.index, 1);
  EXPECT_NEAR(nearest.rms, std::sqrt((0.5 * 0.5 + 0.25 * 0.25) / 2), 1e-12);
  EXPECT_EQ(FindNearest(Corners(), Values(-0.9f, -0.8f)).index, 0);
  EXPECT_EQ(FindNearest(Corners(), Values(0.9f, 0.8f)).index, 2);
}

TEST(NearestImagesTest, OfAnImageOfTheDataIsItself) {
  const ImageDataset data = Corners();
  for (int64_t index = 0; index < data.size(); ++index) {
    const NearestImage nearest = FindNearest(data, ToFrame(ImageAt(data, index)));
    EXPECT_EQ(nearest.index, index);
    EXPECT_NEAR(nearest.rms, 0, 1e-6);
  }
}

TEST(NearestImagesTest, OfEquallyNearOnesIsTheFirst) {
  const NearestImage nearest = FindNearest(Corners(), Values(0, 0));
  EXPECT_EQ(nearest.index, 0);
  EXPECT_NEAR(nearest.rms, 1, 1e-12);
}

// A search that gives up on an image as soon as it is farther must still see the last value.
TEST(NearestImagesTest, LooksAtEveryValue) {
  const NearestImage nearest = FindNearest(Corners(), Values(1, 0.1f));
  EXPECT_EQ(nearest.index, 2);
  EXPECT_NEAR(nearest.rms, std::sqrt(0.9 * 0.9 / 2), 1e-6);
}

}  // namespace
}  // namespace diffusiond
