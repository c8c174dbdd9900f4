#include "model/evaluation/script_features.h"

#include <gtest/gtest.h>
#include <torch/script.h>

#include <string>
#include <vector>

#include "model/evaluation/feature_cache.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

class ScriptFeaturesTest : public testing::Test {
 protected:
  // A file whose forward is `body`, in TorchScript.
  ScriptFeaturesOptions File(const std::string& body) {
    torch::jit::Module module("features");
    module.define("def forward(self, x):\n" + body);
    ScriptFeaturesOptions options;
    options.path = scratch_ / "features.pt";
    module.save(options.path.string());
    return options;
  }

  absl::StatusOr<ImageFeatures> Extract(const ScriptFeaturesOptions& options) {
    auto network = OpenScriptFeatures(options);
    if (!network.ok()) return network.status();
    return (*network)->Extract(images_);
  }

  ScratchDirectory scratch_;
  // Grey, of 1x2 pixels.
  std::vector<Frame> images_ = {{1, 1, 2, {-1, 1}}, {1, 1, 2, {0.5f, 2}}, {1, 1, 2, {0, 0}}};
};

TEST_F(ScriptFeaturesTest, PixelsComeOnTheScaleAskedFor) {
  struct Case {
    PixelScale scale;
    std::vector<float> expected;
  };
  for (const Case& c : {Case{PixelScale::kBytes, {0, 255, 191, 255, 128, 128}},
                        Case{PixelScale::kUnit, {0, 1, 0.75f, 1, 0.5f, 0.5f}},
                        Case{PixelScale::kSigned, {-1, 1, 0.5f, 1, 0, 0}}}) {
    ScriptFeaturesOptions options = File("  return x[:, 2].flatten(1).float()\n");
    options.scale = c.scale;
    options.batch = 2;
    const auto features = Extract(options);
    ASSERT_TRUE(features.ok()) << features.status();
    EXPECT_EQ(features->images, 3);
    EXPECT_EQ(features->dimensions, 2);
    EXPECT_EQ(features->classes, 0);
    EXPECT_EQ(features->values, c.expected);
  }
}

TEST_F(ScriptFeaturesTest, ATupleHasClassScoresToo) {
  const auto features =
      Extract(File("  y = x.float().flatten(1)\n  return y.mean(1, True), y[:, :2]\n"));
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_EQ(features->dimensions, 1);
  EXPECT_EQ(features->classes, 2);
  EXPECT_EQ(features->log_scores.size(), 6u);
}

TEST_F(ScriptFeaturesTest, FilesThatDoNotFitAreRefusedWithTheirName) {
  struct Case {
    std::string body, named;
  };
  for (const Case& c : {Case{"  return x.float()\n", "shape [3, 3, 1, 2]"},
                        Case{"  return x.flatten(1)\n", "floating-point"},
                        Case{"  return x.float().flatten(1), 1, 2\n", "tuple of 3"},
                        Case{"  return 'x'\n", "gave String"},
                        Case{"  return x.float().flatten(1) / 0\n", "not finite"},
                        Case{"  return x.float().view(7, 7)\n", "forward failed"}}) {
    const auto status = Extract(File(c.body)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.body;
    EXPECT_NE(status.message().find(c.named), std::string::npos) << status;
    EXPECT_NE(status.message().find("features.pt"), std::string::npos) << status;
  }
}

TEST_F(ScriptFeaturesTest, WhatIsNoTorchScriptIsRefused) {
  WriteWholeFile(scratch_ / "text.pt", "no zip");
  ScriptFeaturesOptions options;
  options.path = scratch_ / "text.pt";
  EXPECT_EQ(OpenScriptFeatures(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.path = scratch_ / "none.pt";
  EXPECT_EQ(OpenScriptFeatures(options).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(ParsePixelScale("float").ok());
}

TEST_F(ScriptFeaturesTest, IdentityIsTheFilesAndTheScales) {
  ScriptFeaturesOptions options = File("  return x.float().flatten(1)\n");
  const std::string bytes = (*OpenScriptFeatures(options))->identity();
  EXPECT_EQ((*OpenScriptFeatures(options))->identity(), bytes);
  options.scale = PixelScale::kUnit;
  EXPECT_NE((*OpenScriptFeatures(options))->identity(), bytes);
}

// Counts what it is asked.
class CountingFeatures : public FeatureNetwork {
 public:
  explicit CountingFeatures(std::string identity) : identity_(std::move(identity)) {}
  std::string identity() const override { return identity_; }
  absl::StatusOr<ImageFeatures> Extract(std::span<const Frame> images) override {
    ++calls;
    ImageFeatures features;
    for (const Frame& frame : images) features.values.push_back(frame.values[0]);
    features.images = static_cast<int64_t>(images.size());
    features.dimensions = 1;
    return features;
  }
  int calls = 0;

 private:
  const std::string identity_;
};

ImageDataset SmallData(uint8_t first) {
  ImageDataset data;
  data.channels = data.height = data.width = 1;
  data.pixels = {first, 20, 30};
  data.digest = DigestOf(data);
  return data;
}

TEST(FeatureCacheTest, FeaturesAreExtractedOnceForEachDataAndNetwork) {
  ScratchDirectory scratch;
  CountingFeatures network("a"), other("b");
  const auto first = CachedFeatures(scratch.path(), SmallData(1), &network);
  const auto again = CachedFeatures(scratch.path(), SmallData(1), &network);
  ASSERT_TRUE(first.ok() && again.ok()) << again.status();
  EXPECT_EQ(network.calls, 1);
  EXPECT_EQ(again->values, first->values);
  EXPECT_EQ(again->images, 3);
  ASSERT_TRUE(CachedFeatures(scratch.path(), SmallData(2), &network).ok());
  EXPECT_EQ(network.calls, 2);
  ASSERT_TRUE(CachedFeatures(scratch.path(), SmallData(1), &other).ok());
  EXPECT_EQ(other.calls, 1);
}

}  // namespace
}  // namespace diffusiond
