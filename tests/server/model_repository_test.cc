#include "server/model_repository.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelRepositoryTest : public ::testing::Test {
 protected:
  void Add(const std::string& directory) { std::filesystem::create_directories(path_ / directory); }
  void AddCheckpoint(const std::string& directory) {
    WriteWholeFile(path_ / directory / "model_index.json", "{}");
    WriteWholeFile(path_ / directory / "unet/config.json", "{}");
  }
  std::string Error() { return std::string(ListModelRepository(path_).status().message()); }

  ScratchDirectory scratch_;
  const std::filesystem::path& path_ = scratch_.path();
};

TEST_F(ModelRepositoryTest, ListsDirectoriesByNameAndPassesOverOtherThings) {
  AddCheckpoint("zebra");
  AddCheckpoint("fashion-mnist_1.0");
  AddCheckpoint(".fashion-mnist.tmp-1");
  WriteWholeFile(path_ / "README.md", "models");
  std::filesystem::create_directory_symlink(path_ / "zebra", path_ / "horse");
  const auto models = ListModelRepository(path_);
  ASSERT_TRUE(models.ok()) << models.status();
  std::vector<std::string> names;
  for (const ModelDirectory& model : *models) {
    names.push_back(model.name);
    EXPECT_EQ(model.path, path_ / model.name);
    EXPECT_FALSE(model.numbered);
    EXPECT_THAT(model.versions, ElementsAre(0));
    EXPECT_EQ(model.VersionPath(0), model.path);
  }
  EXPECT_THAT(names, ElementsAre("fashion-mnist_1.0", "horse", "zebra"));
}

TEST_F(ModelRepositoryTest, ListsNumberedVersionsAndThePin) {
  for (const char* name : {"mine/2", "mine/10", "mine/1", "mine/.version.tmp-1", "mine/old"}) {
    AddCheckpoint(name);
  }
  WriteWholeFile(path_ / "mine/pinned_version", "2\n");
  Add("coming");
  WriteWholeFile(path_ / "coming/.publish.lock", "");
  const auto models = ListModelRepository(path_);
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->size(), 1u) << "a directory that awaits its first version is none yet";
  const ModelDirectory& mine = models->front();
  EXPECT_TRUE(mine.numbered);
  EXPECT_THAT(mine.versions, ElementsAre(1, 2, 10));
  EXPECT_TRUE(mine.Has(10) && !mine.Has(3));
  EXPECT_EQ(mine.VersionPath(10), path_ / "mine" / "10");
  EXPECT_EQ(mine.pinned.value(), 2);
}

TEST_F(ModelRepositoryTest, FaultsNameThePath) {
  EXPECT_THAT(Error(), AllOf(HasSubstr(path_.string()), HasSubstr("holds no model")));
  Add("two words");
  EXPECT_THAT(Error(), HasSubstr((path_ / "two words").string()));
  WriteWholeFile(path_ / "model_index.json", "{}");
  EXPECT_THAT(Error(), HasSubstr("is a checkpoint itself"));
  EXPECT_EQ(ListModelRepository(path_ / "absent").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelRepositoryTest, AStampChangesWithTheCheckpointAndNotWithItsCard) {
  AddCheckpoint("mine/1");
  const std::filesystem::path version = path_ / "mine/1";
  const std::string before = CheckpointStamp(version);
  EXPECT_FALSE(before.empty());
  WriteWholeFile(version / "README.md", "card");
  EXPECT_EQ(CheckpointStamp(version), before);
  WriteWholeFile(version / "unet/config.json", "{ }");
  const std::string changed = CheckpointStamp(version);
  EXPECT_NE(changed, before);
  WriteWholeFile(version / "version.json", "{}");
  EXPECT_NE(CheckpointStamp(version), changed);
  EXPECT_EQ(CheckpointStamp(path_ / "absent"), "");
  // Nor does a link that leads round in a circle end anything.
  std::filesystem::create_directory_symlink(version / "loop", version / "loop");
  EXPECT_NE(CheckpointStamp(version), "");
}

}  // namespace
}  // namespace diffusiond
