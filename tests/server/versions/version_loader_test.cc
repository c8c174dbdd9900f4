#include "server/versions/version_loader.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_versions.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"
#include "tests/testing/executor_builder.h"
#include "tests/testing/fake_executor.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::string kDigest(64, 'a');

// A model "mine" with the directories of two versions; what is in them is what the fake says.
class VersionLoaderTest : public ::testing::Test {
 protected:
  VersionLoaderTest() {
    for (const char* version : {"1", "2"}) fs::create_directories(scratch_ / "mine" / version);
    directory_.name = "mine";
    directory_.path = scratch_ / "mine";
    directory_.numbered = true;
    directory_.versions = {1, 2};
    directory_.folders = *ListVersionFolders(directory_.path);
  }

  absl::StatusOr<VersionLoader::Loaded> Load(const VersionLoader::Request& request) {
    return VersionLoader({.devices = CpuDevices(2),
                          .load = [this](const fs::path& path, absl::Span<const DeviceSpec> devices,
                                         int micro_batch) -> absl::StatusOr<LoadedModel> {
                            paths_.push_back(path);
                            LoadedModel model;
                            model.config = config_;
                            model.digest = kDigest;
                            model.micro_batch = micro_batch;
                            for (size_t i = 0; i < devices.size(); ++i) {
                              model.executors.push_back(std::make_unique<FakeExecutor>());
                            }
                            return model;
                          }})
        .Load(directory_, request);
  }

  ScratchDirectory scratch_{MemoryTempDir()};
  ModelDirectory directory_;
  CheckpointConfig config_ = SmallConfig();
  std::vector<fs::path> paths_;
};

TEST_F(VersionLoaderTest, AVersionCarriesAllThatTellsItApart) {
  const auto loaded = Load({.number = 2, .copy = 1, .stamp = "as it was", .micro_batch = 8});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(paths_, std::vector<fs::path>{scratch_ / "mine" / "2"});
  const ModelVersion& version = *loaded->version;
  EXPECT_EQ(version.name(), "mine");
  EXPECT_EQ(version.number(), 2);
  EXPECT_EQ(version.copy, 1);
  EXPECT_EQ(version.key(), "mine/2~1");
  EXPECT_EQ(version.digest(), kDigest);
  EXPECT_EQ(version.micro_batch(), 8);
  EXPECT_EQ(version.stamp, "as it was");
  EXPECT_EQ(version.network, config_.unet);
  EXPECT_EQ(loaded->executors.size(), 2u);
}

TEST_F(VersionLoaderTest, WhatIsNotWhatWasPublishedIsRefused) {
  for (const auto& [digest, code] :
       {std::pair(kDigest, absl::StatusCode::kOk),
        std::pair(std::string(64, '0'), absl::StatusCode::kDataLoss)}) {
    WriteWholeFile(scratch_ / "mine/2/version.json",
                   absl::StrCat("{\"digest\": \"", digest, "\"}"));
    EXPECT_EQ(Load({.number = 2}).status().code(), code);
  }
}

TEST_F(VersionLoaderTest, WhatIsNotThereOrCannotBeServedIsTold) {
  EXPECT_FALSE(Load({.number = 9}).ok());
  EXPECT_TRUE(paths_.empty()) << "nothing to load";
  config_.unet.out_channels = 5;
  EXPECT_THAT(std::string(Load({.number = 1}).status().message()), HasSubstr("out_channels is 5"));
}

}  // namespace
}  // namespace diffusiond
