// A noise-conditional classifier beside the model: written, read, checked and part of the digest.
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/diffusers_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kClasses = 4;

// An unconditional model, whose classes are the classifier's.
CheckpointConfig WithClassifier() {
  CheckpointConfig config = SmallConfig();
  config.unet.num_class_embeds.reset();
  config.null_class_id.reset();
  config.class_names = {"a", "b", "c", "d"};
  config.classifier = config.unet;
  config.classifier->out_channels = kClasses;
  return config;
}

class ClassifierDirectoryTest : public ::testing::Test {
 protected:
  absl::Status Save(const CheckpointConfig& config, const OwnedTensors& classifier) {
    return SaveCheckpoint(root_, config, tensors_.views(), classifier.views());
  }

  ScratchDirectory scratch_;
  const std::filesystem::path root_ = scratch_ / "model";
  const OwnedTensors tensors_ = SmallTensors(1), one_ = SmallTensors(2), two_ = SmallTensors(3);
};

TEST_F(ClassifierDirectoryTest, IsReadAsItWasWrittenAndHasAPartInTheDigest) {
  std::string digests[3];
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(Save(WithClassifier(), i == 0 ? one_ : two_).ok());
    const auto read = Checkpoint::Open(root_);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->config(), WithClassifier());
    EXPECT_EQ(NumClasses(read->config()), kClasses);
    ASSERT_TRUE(read->classifier_weights().has_value());
    EXPECT_EQ(read->classifier_weights()->path,
              root_ / "classifier/diffusion_pytorch_model.safetensors");
    float value;
    std::memcpy(&value, read->classifier_tensors().at("conv_in.bias").data.data(), sizeof(value));
    EXPECT_EQ(value, i == 0 ? 2 : 3);
    digests[i] = read->digest();
  }
  CheckpointConfig without = WithClassifier();
  without.classifier.reset();
  without.class_names.clear();
  ASSERT_TRUE(SaveCheckpoint(root_, without, tensors_.views()).ok()) << "replaces the whole";
  const auto read = Checkpoint::Open(root_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_FALSE(read->classifier_weights().has_value());
  digests[2] = read->digest();
  EXPECT_NE(digests[0], digests[1]);
  EXPECT_NE(digests[0], digests[2]);
}

TEST_F(ClassifierDirectoryTest, WhatDoesNotFitTheModelIsNamed) {
  struct Case {
    std::function<void(CheckpointConfig*)> change;
    const char* message;
  };
  for (const Case& c : {
           Case{[](CheckpointConfig* config) { config->classifier->in_channels += 1; },
                "classifier: in_channels is "},
           {[](CheckpointConfig* config) { config->classifier->sample_width *= 2; },
            "classifier: sample width is "},
           {[](CheckpointConfig* config) { config->classifier->num_class_embeds = 3; },
            "classifier: num_class_embeds is 3; for this model it must be 0"},
           {[](CheckpointConfig* config) {
              config->class_names.clear();
              config->classifier->out_channels = 1;
            },
            "classifier: out_channels is 1; it must be 2 or more, one a class"},
           {[](CheckpointConfig* config) {
              config->unet.num_class_embeds = kClasses + 1;
              config->null_class_id = kClasses;
              config->classifier->out_channels = kClasses + 1;
            },
            "classifier: out_channels is 5; for this model it must be 4"},
           {[](CheckpointConfig* config) { config->class_names.push_back("e"); },
            "id2label names 5 classes, the classifier has 4"},
           {[](CheckpointConfig* config) { config->classifier->layers_per_block = 0; },
            "classifier: layers_per_block"},
       }) {
    CheckpointConfig config = WithClassifier();
    c.change(&config);
    EXPECT_THAT(std::string(Validate(config).message()), HasSubstr(c.message));
  }
}

TEST_F(ClassifierDirectoryTest, AClassifierHasMoreChannelsThanAnImageCanHave) {
  CheckpointConfig config = WithClassifier();
  config.class_names.clear();
  config.classifier->out_channels = 1000;
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  config.unet.out_channels = kMaxImageChannels + 1;
  EXPECT_THAT(std::string(Validate(config).message()),
              HasSubstr("out_channels is 65, expected 1 to 64"));
}

TEST_F(ClassifierDirectoryTest, ConfigAndTensorsComeTogether) {
  CheckpointConfig without = WithClassifier();
  without.classifier.reset();
  without.class_names.clear();
  EXPECT_THAT(std::string(Save(without, one_).message()),
              HasSubstr("tensors of a classifier without its config"));
  EXPECT_THAT(std::string(Save(WithClassifier(), OwnedTensors()).message()),
              HasSubstr("a classifier without tensors"));
}

TEST_F(ClassifierDirectoryTest, DamageIsNamedByItsFile) {
  ASSERT_TRUE(Save(WithClassifier(), one_).ok());
  const auto weights = root_ / "classifier/diffusion_pytorch_model.safetensors";
  const std::string whole = ReadWholeFile(weights);
  WriteWholeFile(weights, whole.substr(0, whole.size() - 1));
  EXPECT_THAT(std::string(Checkpoint::Open(root_).status().message()),
              HasSubstr("classifier/diffusion_pytorch_model.safetensors"));
  std::filesystem::remove(weights);
  EXPECT_THAT(std::string(Checkpoint::Open(root_).status().message()),
              HasSubstr("has no weights: neither classifier/"));
  WriteWholeFile(weights, whole);
  const auto read = Checkpoint::Open(root_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(std::string(read->classifier_weights()->Check({{"conv_in.bias", {9}}}).message()),
              HasSubstr("classifier/diffusion_pytorch_model.safetensors"));
}

}  // namespace
}  // namespace diffusiond
