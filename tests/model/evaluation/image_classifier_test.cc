#include "model/evaluation/image_classifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

class ImageClassifierTest : public testing::Test {
 protected:
  ImageClassifierTest() {
    data_.channels = 1;
    data_.height = data_.width = 9;  // Odd: no size halves evenly.
    data_.class_names = {"dark", "light"};
    for (int i = 0; i < 64; ++i) {
      data_.pixels.insert(data_.pixels.end(), 81, static_cast<uint8_t>(i % 2 == 0 ? i : 255 - i));
      data_.labels.push_back(i % 2);
    }
    data_.digest = DigestOf(data_);
    for (int i = 0; i < 64; ++i) frames_.push_back(ToFrame(ImageAt(data_, i)));
  }

  std::filesystem::path path() const { return scratch_ / "classifier.safetensors"; }

  ScratchDirectory scratch_;
  ImageDataset data_;
  std::vector<Frame> frames_;
};

TEST_F(ImageClassifierTest, TellsDarkFromLight) {
  const auto classifier = ImageClassifier::Train(data_, {});
  const absl::StatusOr<double> accuracy = AccuracyOf(classifier.get(), data_);
  ASSERT_TRUE(accuracy.ok()) << accuracy.status();
  EXPECT_EQ(*accuracy, 1);
  const auto features = classifier->Extract(frames_);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_EQ(features->images, 64);
  EXPECT_EQ(features->dimensions, 128);
  ASSERT_EQ(features->classes, 2);
  EXPECT_EQ(LikeliestClasses(*features),
            std::vector<int64_t>(data_.labels.begin(), data_.labels.end()));
  EXPECT_NEAR(std::exp(features->log_scores[0]) + std::exp(features->log_scores[1]), 1, 1e-5);
}

TEST_F(ImageClassifierTest, ASavedOneGivesTheSameFeatures) {
  const auto trained = ImageClassifier::Train(data_, {});
  ASSERT_TRUE(trained->Save(path()).ok());
  const auto loaded = ImageClassifier::Load(path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto first = trained->Extract(frames_), second = (*loaded)->Extract(frames_);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->values, second->values);
  EXPECT_EQ(first->log_scores, second->log_scores);
  EXPECT_EQ(trained->identity(), (*loaded)->identity());
  EXPECT_NE(trained->identity(), ImageClassifier::Train(data_, {.seed = 1})->identity());
}

TEST_F(ImageClassifierTest, ItsClassesTakeAModelsOrder) {
  const auto trained = ImageClassifier::Train(data_, {});
  ASSERT_TRUE(trained->Save(path()).ok());
  const auto loaded = ImageClassifier::Load(path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_TRUE((*loaded)->NumberAs({"0", "1"}).ok()) << "nobody knows which these are";
  EXPECT_EQ((*loaded)->identity(), trained->identity());
  const absl::Status missing = (*loaded)->NumberAs({"light", "grey"});
  EXPECT_EQ(missing.message(),
            "the classifier has no class \"grey\", the model's class 1; its first is \"dark\"");
  ASSERT_TRUE((*loaded)->NumberAs({"light", "dark"}).ok());
  const auto features = (*loaded)->Extract(frames_);
  ASSERT_TRUE(features.ok());
  const std::vector<int64_t> judged = LikeliestClasses(*features);
  for (size_t i = 0; i < judged.size(); ++i) EXPECT_EQ(judged[i], 1 - data_.labels[i]) << i;
}

TEST_F(ImageClassifierTest, OtherFilesAreRefusedByName) {
  EXPECT_EQ(ImageClassifier::Load(path()).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(ImageClassifier::Train(data_, {.epochs = 1})->Save(path()).ok());
  const auto file = SafetensorsFile::Open(path());
  ASSERT_TRUE(file.ok());
  struct Case {
    const char *key, *value;
  };
  for (const Case& c :
       {Case{"shape", "1 9 9"}, Case{"shape", "2 9 9 2"}, Case{"shape", "3 9 9 2"},
        Case{"shape", "1 4096 4096 100000"}, Case{"shape", "1 9 9 -2"}, Case{"shape", "1 9 9 x"},
        Case{"shape", "1 9 9 3"}, Case{"classes", "[\"one\"]"}, Case{"classes", "{"}}) {
    auto metadata = file->metadata();
    metadata[c.key] = c.value;
    const auto other = scratch_ / "other.safetensors";
    ASSERT_TRUE(WriteSafetensors(other, file->tensors(), metadata).ok());
    const absl::Status status = ImageClassifier::Load(other).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.value;
    EXPECT_NE(status.message().find("other.safetensors"), std::string::npos) << status;
  }
}

TEST_F(ImageClassifierTest, ImagesAndClassesOfAnotherShapeAreRefused) {
  const auto classifier = ImageClassifier::Train(data_, {.epochs = 1});
  const std::vector<Frame> wide = {{1, 9, 10, std::vector<float>(90)}};
  EXPECT_EQ(classifier->Extract(wide).status().message(),
            "the classifier is of images of 1x9x9; these are 1x9x10");
  data_.class_names.push_back("grey");
  EXPECT_EQ(AccuracyOf(classifier.get(), data_).status().message(),
            "the network has 2 classes; the images have 3");
}

}  // namespace
}  // namespace diffusiond
