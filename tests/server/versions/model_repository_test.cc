#include "server/versions/model_repository.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/publish_version.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelRepositoryTest : public ::testing::Test {
 protected:
  void Add(const std::string& directory) { std::filesystem::create_directories(path_ / directory); }
  void AddCheckpoint(const std::string& directory) {
    WriteWholeFile(path_ / directory / "model_index.json", "{}");
    WriteWholeFile(path_ / directory / "unet/config.json", "{}");
  }
  RepositoryListing List() {
    const auto listing = ListModelRepository(path_);
    EXPECT_TRUE(listing.ok()) << listing.status();
    return listing.value_or(RepositoryListing());
  }
  // Why a directory is refused; empty: it is not.
  std::string Refusal(const std::string& name) {
    for (const RefusedDirectory& directory : List().refused) {
      if (directory.name == name) return std::string(directory.reason.message());
    }
    return "";
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
  const RepositoryListing listing = List();
  EXPECT_THAT(listing.refused, IsEmpty());
  std::vector<std::string> names;
  for (const ModelDirectory& model : listing.models) {
    names.push_back(model.name);
    EXPECT_EQ(model.path, path_ / model.name);
    EXPECT_FALSE(model.numbered);
    EXPECT_THAT(model.versions, ElementsAre(0));
    EXPECT_EQ(model.VersionPath(0).value(), model.path);
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
  const RepositoryListing listing = List();
  ASSERT_EQ(listing.models.size(), 1u) << "a directory that awaits its first version is none yet";
  EXPECT_THAT(listing.refused, IsEmpty()) << "nor is it wrong";
  const ModelDirectory& mine = listing.models.front();
  EXPECT_TRUE(mine.numbered);
  EXPECT_THAT(mine.versions, ElementsAre(1, 2, 10));
  EXPECT_TRUE(mine.Has(10) && !mine.Has(3));
  EXPECT_EQ(mine.VersionPath(10).value(), path_ / "mine" / "10");
  EXPECT_EQ(mine.VersionPath(3).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(mine.folders.others, ElementsAre("old"));
  EXPECT_EQ(mine.pinned.value(), 2);
}

TEST_F(ModelRepositoryTest, WhatBelongsToTheVolumeIsPassedOver) {
  for (const char* name : {"lost+found", "@eaDir", "$RECYCLE.BIN", "System Volume Information",
                           "__MACOSX", ".snapshot", "#recycle"}) {
    Add(absl::StrCat(name, "/something"));
    Add(absl::StrCat("coming/", name));
    Add(absl::StrCat("mine/", name));
    AddCheckpoint("mine/1");
  }
  const RepositoryListing listing = List();
  EXPECT_THAT(listing.refused, IsEmpty());
  ASSERT_EQ(listing.models.size(), 1u) << "what only such names are in awaits its first version";
  EXPECT_THAT(listing.models.front().folders.others, IsEmpty());
  EXPECT_THAT(std::string(CheckModelName("__MACOSX").message()), HasSubstr("macOS"))
      << "nobody publishes under such a name";
}

TEST_F(ModelRepositoryTest, OneWrongDirectoryTakesNothingFromTheOthers) {
  AddCheckpoint("mine");
  Add("docs/v1");
  WriteWholeFile(path_ / "docs/README.md", "documents");
  Add("two words");
  const RepositoryListing listing = List();
  ASSERT_EQ(listing.models.size(), 1u);
  EXPECT_EQ(listing.refused.size(), 2u);
  EXPECT_THAT(Refusal("two words"), HasSubstr((path_ / "two words").string()));
  EXPECT_THAT(Refusal("docs"),
              AllOf(HasSubstr((path_ / "docs").string()), HasSubstr("model_index.json"),
                    HasSubstr("'v1' is no version: a version is named by a whole number, "
                              "1 .. 999999999")));
}

TEST_F(ModelRepositoryTest, AVersionIsAWholeNumberAndMayHaveLeadingZeros) {
  for (const char* name : {"mine/001", "mine/1", "mine/010", "mine/0", "mine/v3", "mine/2024-01-01",
                           "mine/3.1", "mine/-4", "mine/1000000000"}) {
    AddCheckpoint(name);
  }
  WriteWholeFile(path_ / "mine/5", "a file");
  const RepositoryListing listing = List();
  ASSERT_EQ(listing.models.size(), 1u);
  const ModelDirectory& mine = listing.models.front();
  EXPECT_THAT(mine.versions, ElementsAre(1, 10));
  EXPECT_EQ(mine.VersionPath(10).value(), path_ / "mine/010");
  const absl::Status twice = mine.VersionPath(1).status();
  EXPECT_EQ(twice.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(twice.message()),
              AllOf(HasSubstr((path_ / "mine").string()), HasSubstr("'001' and '1'")));
  EXPECT_THAT(mine.folders.others, ElementsAre("-4", "0", "1000000000", "2024-01-01", "3.1", "v3"));
  EXPECT_THAT(NoVersions(mine.folders.others), HasSubstr("'3.1' and 1 more are no versions"));
}

TEST_F(ModelRepositoryTest, TheStampOfTwoFoldersOfOneVersionIsAnother) {
  AddCheckpoint("mine/001");
  const std::string alone = List().models.front().Stamp(1);
  EXPECT_EQ(alone, CheckpointStamp(path_ / "mine/001"));
  AddCheckpoint("mine/1");
  EXPECT_NE(List().models.front().Stamp(1), alone);
  EXPECT_EQ(List().models.front().Stamp(2), "");
}

TEST_F(ModelRepositoryTest, NamesOfAnyBytesAreMadeFitForLogsAndMessages) {
  Add("odd\x1b[2J\n\xff");
  const RepositoryListing listing = List();
  ASSERT_EQ(listing.refused.size(), 1u);
  for (const std::string& text :
       {listing.refused.front().name, std::string(listing.refused.front().reason.message())}) {
    EXPECT_THAT(text, HasSubstr("odd"));
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), absl::ascii_isprint)) << text;
  }
}

TEST_F(ModelRepositoryTest, ModelsPastTheLimitAreRefusedAndTheOthersListed) {
  for (size_t i = 0; i < kMaxModels + 2; ++i) AddCheckpoint(absl::StrCat("m", 1000 + i));
  const RepositoryListing listing = List();
  EXPECT_EQ(listing.models.size(), kMaxModels);
  ASSERT_EQ(listing.refused.size(), 2u);
  EXPECT_THAT(Refusal("m1257"), HasSubstr("limit of 256"));
}

TEST_F(ModelRepositoryTest, RefusedDirectoriesPastTheLimitAreCounted) {
  for (size_t i = 0; i < kMaxRefusedDirectories + 3; ++i) Add(absl::StrCat("d", i, "/x"));
  EXPECT_EQ(List().refused.size(), kMaxRefusedDirectories);
  EXPECT_EQ(List().more_refused, 3u);
}

TEST_F(ModelRepositoryTest, ARepositoryWithoutModelsIsNoError) {
  EXPECT_THAT(List().models, IsEmpty());
  EXPECT_EQ(ListModelRepository(path_ / "absent").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelRepositoryTest, OneThatIsACheckpointIsToldUnlessModelsLieBeside) {
  AddCheckpoint(".");
  EXPECT_THAT(Error(), AllOf(HasSubstr(path_.string()), HasSubstr("is a checkpoint itself")));
  AddCheckpoint("mine");
  ASSERT_EQ(List().models.size(), 1u);
  EXPECT_EQ(List().models.front().name, "mine");
  EXPECT_THAT(Refusal("unet"), HasSubstr("part of a checkpoint"));
}

// Publishers go by the same names.
TEST_F(ModelRepositoryTest, PublishersTakeLeadingZeros) {
  const auto publish = [this](float value) {
    const OwnedTensors tensors = SmallTensors(value);
    const std::filesystem::path source = scratch_ / ".source";
    EXPECT_TRUE(SaveCheckpoint(source, SmallConfig(), tensors.views()).ok());
    return PublishVersion(path_, source, {.name = "mine", .keep = 2, .training = ""}).value();
  };
  EXPECT_EQ(publish(1).version, 1);
  std::filesystem::rename(path_ / "mine/1", path_ / "mine/0041");
  const PublishedVersion again = publish(1);
  EXPECT_TRUE(again.already_there);
  EXPECT_EQ(again.directory, path_ / "mine/0041");
  EXPECT_EQ(publish(2).version, 42);
  EXPECT_THAT(publish(3).removed, ElementsAre(41));
  EXPECT_FALSE(std::filesystem::exists(path_ / "mine/0041"));
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

// A version may be a link into a tree of any size.
TEST_F(ModelRepositoryTest, AStampLooksAtTheFilesOfACheckpointAlone) {
  AddCheckpoint("tree");
  for (int i = 0; i < 100; ++i) {
    WriteWholeFile(path_ / absl::StrCat("tree/unet/below/", i, "/config.json"), "{}");
  }
  Add("mine");
  const std::filesystem::path version = path_ / "mine/1";
  std::filesystem::create_directory_symlink(path_ / "tree", version);
  const std::string before = CheckpointStamp(version);
  EXPECT_EQ(before, CheckpointStamp(path_ / "tree"));
  EXPECT_EQ(std::count(before.begin(), before.end(), '\n'), 1) << before;
  WriteWholeFile(path_ / "tree/unet/below/0/config.json", "{ }");
  WriteWholeFile(path_ / "tree/unet/notes.txt", "mine");
  EXPECT_EQ(CheckpointStamp(version), before);
  WriteWholeFile(path_ / "tree/unet/config.json", "{ }");
  EXPECT_NE(CheckpointStamp(version), before);
}

// Open follows such links.
TEST_F(ModelRepositoryTest, AStampChangesWithFilesBehindALink) {
  AddCheckpoint("mine/1");
  std::filesystem::rename(path_ / "mine/1/unet", path_ / ".network");
  std::filesystem::create_directory_symlink(path_ / ".network", path_ / "mine/1/unet");
  const std::string before = CheckpointStamp(path_ / "mine/1");
  WriteWholeFile(path_ / ".network/config.json", "{ }");
  EXPECT_NE(CheckpointStamp(path_ / "mine/1"), before);
}

TEST_F(ModelRepositoryTest, ADirectoryOfTooManyEntriesIsNoModel) {
  AddCheckpoint("good");
  for (const char* prefix : {"crowd/", "hidden/."}) {
    for (size_t i = 0; i <= kMaxModelEntries; ++i) {
      WriteWholeFile(path_ / absl::StrCat(prefix, i), "");
    }
  }
  EXPECT_EQ(List().models.size(), 1u);
  for (const char* name : {"crowd", "hidden"}) {
    EXPECT_THAT(Refusal(name), AllOf(HasSubstr((path_ / name).string()),
                                     HasSubstr("more than the limit of 10000 entries")));
  }
}

}  // namespace
}  // namespace diffusiond
