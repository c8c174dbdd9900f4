// Real training sets, where a machine has them: DIFFUSIOND_DATA_DIR, else ../shared/data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "model/training/data/open_dataset.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

class SharedDataTest : public ::testing::Test {
 protected:
  // Skips the test if the set is not there.
  void SetUpSet(const std::string& name) {
    const char* dir = std::getenv("DIFFUSIOND_DATA_DIR");
    spec_.path = std::filesystem::path(dir != nullptr ? dir : "../shared/data") / name;
    if (!std::filesystem::exists(spec_.path)) {
      GTEST_SKIP() << "no data at " << spec_.path << "; set DIFFUSIOND_DATA_DIR";
    }
  }

  // Images of each class.
  static std::vector<int> Counts(const ImageDataset& dataset) {
    std::vector<int> counts(dataset.class_names.size());
    for (const int32_t label : dataset.labels) ++counts[label];
    return counts;
  }

  DatasetSpec spec_;
};

TEST_F(SharedDataTest, FashionMnistSubsetHasItsDocumentedCounts) {
  SetUpSet("fashion-mnist-subset");
  if (IsSkipped()) return;
  const auto train = OpenDataset(spec_);
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_EQ(train->size(), 8200);
  EXPECT_EQ(train->channels, 1);
  EXPECT_EQ(train->height, 28);
  EXPECT_EQ(train->width, 28);
  EXPECT_THAT(Counts(*train), ElementsAre(764, 872, 825, 830, 786, 817, 832, 835, 814, 825));
  spec_.split = DatasetSplit::kTest;
  const auto test = OpenDataset(spec_);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_EQ(test->size(), 4400);
  EXPECT_THAT(Counts(*test), ElementsAre(450, 425, 469, 432, 451, 424, 429, 451, 461, 408));
}

TEST_F(SharedDataTest, Cifar10IsBalancedAndHasItsPublishedMean) {
  SetUpSet("cifar10");
  if (IsSkipped()) return;
  const auto train = OpenDataset(spec_);
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_EQ(train->size(), 20'000);
  EXPECT_THAT(Counts(*train), ::testing::Each(2000));
  EXPECT_EQ(train->class_names.front(), "airplane");
  // The mean of all 50,000 images; of 20,000 of them it is a little off. A swapped channel is not.
  const double published[] = {125.3069, 122.9504, 113.8654};
  for (int channel = 0; channel < 3; ++channel) {
    double sum = 0;
    for (int64_t i = 0; i < train->size(); ++i) {
      for (const uint8_t value : train->image(i).subspan(channel * 1024, 1024)) sum += value;
    }
    EXPECT_NEAR(sum / (20'000 * 1024.0), published[channel], 1.0);
  }
}

TEST_F(SharedDataTest, NotoEmojiTakesItsLabelsFromTheTable) {
  SetUpSet("noto-emoji");
  if (IsSkipped()) return;
  spec_.labels_csv = spec_.path / "labels.csv";
  spec_.path /= "32";
  const auto dataset = OpenDataset(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 1600);
  EXPECT_EQ(dataset->channels, 3);
  EXPECT_EQ(dataset->width, 32);
  EXPECT_THAT(Counts(*dataset), ElementsAre(85, 152, 133, 261, 362, 166, 223, 218));
  EXPECT_EQ(dataset->class_names.front(), "Activities");
  EXPECT_EQ(dataset->class_names.back(), "Travel & Places");
}

TEST_F(SharedDataTest, EurosatHasAFolderAClass) {
  SetUpSet("eurosat-64");
  if (IsSkipped()) return;
  const auto dataset = OpenDataset(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 1500);
  EXPECT_EQ(dataset->height, 64);
  EXPECT_THAT(Counts(*dataset), ::testing::Each(150));
  EXPECT_THAT(dataset->class_names,
              ElementsAre("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial",
                          "Pasture", "PermanentCrop", "Residential", "River", "SeaLake"));
}

}  // namespace
}  // namespace diffusiond
