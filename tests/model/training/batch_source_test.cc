#include "model/training/batch_source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace diffusiond {
namespace {

ImageDataset TwoPixelImages(int count) {
  ImageDataset data;
  data.channels = 1;
  data.height = 1;
  data.width = 2;
  for (int i = 0; i < count; ++i) {
    data.pixels.push_back(static_cast<uint8_t>(i));
    data.pixels.push_back(255);
    data.labels.push_back(i % 3);
  }
  data.class_names = {"a", "b", "c"};
  return data;
}

BatchOptions Options() {
  BatchOptions options;
  options.batch_size = 10;
  options.num_train_timesteps = 100;
  options.seed = 5;
  return options;
}

TEST(BatchSourceTest, AnyStepCanBeMadeWithoutTheOnesBefore) {
  const ImageDataset data = TwoPixelImages(25);
  BatchSource forward(&data, Options()), jump(&data, Options());
  TrainingBatch expected, actual;
  for (int64_t step = 0; step < 8; ++step) forward.Fill(step, &expected);
  jump.Fill(7, &actual);
  EXPECT_EQ(actual.images, expected.images);
  EXPECT_EQ(actual.noise, expected.noise);
  EXPECT_EQ(actual.timesteps, expected.timesteps);
  EXPECT_EQ(actual.labels, expected.labels);
}

TEST(BatchSourceTest, EveryImageOnceAnEpochWithItsOwnLabel) {
  const ImageDataset data = TwoPixelImages(30);
  BatchSource source(&data, Options());
  TrainingBatch batch;
  std::multiset<int> seen;
  for (int64_t step = 0; step < 3; ++step) {
    source.Fill(step, &batch);
    for (size_t i = 0; i < 10; ++i) {
      const int image = static_cast<int>(std::lround((batch.images[2 * i] + 1) * 127.5));
      EXPECT_EQ(batch.labels[i], image % 3);
      EXPECT_EQ(batch.images[2 * i + 1], 1);
      seen.insert(image);
    }
  }
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 30u);
  EXPECT_EQ(seen.size(), 30u);
}

TEST(BatchSourceTest, FlipsAndLabelDropoutComeAtTheirRates) {
  const ImageDataset data = TwoPixelImages(100);
  BatchOptions options = Options();
  options.batch_size = 1000;
  options.flip = true;
  options.label_dropout = 0.2;
  options.null_label = 3;
  BatchSource source(&data, options);
  TrainingBatch batch;
  int flipped = 0, dropped = 0;
  std::vector<int> timesteps(100);
  for (int64_t step = 0; step < 10; ++step) {
    source.Fill(step, &batch);
    for (size_t i = 0; i < 1000; ++i) {
      flipped += batch.images[2 * i] == 1;
      dropped += batch.labels[i] == 3;
      ++timesteps[static_cast<size_t>(batch.timesteps[i])];
    }
  }
  EXPECT_NEAR(flipped, 5000, 250);  // Five standard errors each.
  EXPECT_NEAR(dropped, 2000, 200);
  for (int count : timesteps) EXPECT_NEAR(count, 100, 50);
}

TEST(BatchSourceTest, HeldOutTimestepsCoverTheRangeEvenly) {
  const ImageDataset data = TwoPixelImages(200);
  TrainingBatch batch;
  FillHeldOutBatch(data, 0, 200, 1000, 0, &batch);
  std::vector<int> deciles(10);
  for (int64_t t : batch.timesteps) ++deciles[static_cast<size_t>(t / 100)];
  for (int count : deciles) EXPECT_NEAR(count, 20, 2);
}

}  // namespace
}  // namespace diffusiond
