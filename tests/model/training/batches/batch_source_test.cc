#include "model/training/batches/batch_source.h"

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

// Pixels say which channel, row and column of the uncropped image they are.
ImageDataset UncroppedImages() {
  ImageDataset data;
  data.channels = 3;
  data.height = 1;
  data.width = 2;
  UncroppedImage image{.height = 2, .width = 5, .pixels = {}};
  for (int i = 0; i < 30; ++i) {
    image.pixels.push_back(static_cast<uint8_t>(i / 10 * 80 + i / 5 % 2 * 10 + i % 5));
  }
  data.uncropped = {image, image, image};
  for (int i = 0; i < 3; ++i) data.pixels.insert(data.pixels.end(), {1, 2, 81, 82, 161, 162});
  return data;
}

TEST(BatchSourceTest, WindowsOfUncroppedImagesAreDrawnAnewAndByTheStep) {
  const ImageDataset data = UncroppedImages();
  BatchSource source(&data, Options()), again(&data, Options());
  TrainingBatch batch, same;
  std::set<long> seen;
  for (int64_t step = 0; step < 30; ++step) {
    source.Fill(step, &batch);
    for (size_t i = 0; i < 10; ++i) {
      const auto byte = [&](size_t at) {
        return std::lround((batch.images[6 * i + at] + 1) * 127.5);
      };
      const long first = byte(0);
      seen.insert(first);
      for (size_t at = 1; at < 6; ++at) {
        EXPECT_EQ(byte(at), first + static_cast<long>(at / 2 * 80 + at % 2));
      }
    }
  }
  EXPECT_EQ(seen, (std::set<long>{0, 1, 2, 3, 10, 11, 12, 13})) << "each window there is";
  again.Fill(29, &same);
  EXPECT_EQ(same.images, batch.images);
  FillHeldOutBatch(data, 0, 3, 100, 5, &batch);
  EXPECT_EQ(std::lround((batch.images[0] + 1) * 127.5), 1) << "the middle";
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

TEST(BatchSourceTest, StratifiedTimestepsFallOneIntoEachStratum) {
  const ImageDataset data = TwoPixelImages(30);
  BatchOptions options = Options();
  options.timestep_sampling = TimestepSampling::kStratified;
  BatchSource source(&data, options);
  TrainingBatch batch;
  std::set<int64_t> first;
  for (int64_t step = 0; step < 20; ++step) {
    source.Fill(step, &batch);
    std::set<int64_t> deciles;
    for (int64_t t : batch.timesteps) deciles.insert(t / 10);
    EXPECT_EQ(deciles.size(), 10u);
    first.insert(batch.timesteps[0]);
  }
  EXPECT_GT(first.size(), 10u);  // Each step begins elsewhere.
}

TEST(BatchSourceTest, PartsOfABatchAreTheBatch) {
  const ImageDataset data = TwoPixelImages(25);
  for (const TimestepSampling sampling :
       {TimestepSampling::kUniform, TimestepSampling::kStratified}) {
    BatchOptions options = Options();
    options.timestep_sampling = sampling;
    BatchSource source(&data, options);
    TrainingBatch whole, part;
    source.Fill(3, &whole);
    for (int64_t begin = 0; begin < 10; begin += 5) {
      source.FillRows(3, begin, 5, &part);
      ASSERT_EQ(part.size(), 5);
      for (size_t i = 0; i < 5; ++i) {
        const size_t at = static_cast<size_t>(begin) + i;
        EXPECT_EQ(part.levels[i], whole.levels[at]);
        EXPECT_EQ(part.timesteps[i], whole.timesteps[at]);
        EXPECT_EQ(part.noise[2 * i], whole.noise[2 * at]);
        EXPECT_EQ(part.images[2 * i], whole.images[2 * at]);
      }
    }
  }
}

TEST(BatchSourceTest, ImportanceChangesTimestepsAndWeightsAlone) {
  const ImageDataset data = TwoPixelImages(30);
  BatchSource source(&data, Options());
  TrainingBatch before, after;
  source.Fill(2, &before);
  source.Fill(2, &after);
  std::vector<float> history = EmptyLossHistory(100);
  DrawByImportance(history, &after);
  EXPECT_EQ(after.timesteps, before.timesteps);  // Nothing is known yet.
  for (size_t i = 0; i < history.size(); ++i) history[i] = i < history.size() / 2 ? 9 : 1;
  DrawByImportance(history, &after);
  EXPECT_NE(after.timesteps, before.timesteps);
  EXPECT_EQ(after.noise, before.noise);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(after.weights[i], after.timesteps[i] < 50 ? 1 / 1.8 : 1 / 0.2, 0.05);
  }
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
