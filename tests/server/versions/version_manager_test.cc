// Following the repository: what is swapped in, what is refused, and when the old one goes.
#include "server/versions/version_manager.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_versions.h"
#include "tests/model/checkpoint/small_checkpoint.h"
#include "tests/server/versions/version_stage.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VersionManagerTest : public ::testing::Test {
 protected:
  void Start(int keep_versions = 1) {
    const absl::Status status = stage_.Start(keep_versions);
    ASSERT_TRUE(status.ok()) << status;
  }

  VersionStage stage_;
};

TEST_F(VersionManagerTest, ServesTheNewestAndSwapsToANewerOne) {
  stage_.Publish();
  stage_.Publish();
  Start();
  stage_.Release();
  EXPECT_EQ(stage_.serving(), 2);
  EXPECT_EQ(stage_.loads(), 1);
  stage_.Publish();
  EXPECT_EQ(stage_.serving(), 2) << "not noticed yet";
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 3);
  stage_.AwaitExecutorsAlive(2, 0);
  EXPECT_TRUE(stage_.Submit().listener->AwaitFinished().ok());
  stage_.manager().Poll();
  EXPECT_EQ(stage_.loads(), 2) << "nothing new, nothing loaded";
}

TEST_F(VersionManagerTest, RequestsFinishOnTheVersionThatTheyFoundAndThenItGoes) {
  stage_.Publish();
  Start();
  VersionStage::Request old = stage_.Submit();
  stage_.AwaitStep(1);
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_THAT(stage_.States(), ElementsAre("1 draining", "2 serving"));
  VersionStage::Request fresh = stage_.Submit();
  EXPECT_EQ(old.version, 1);
  EXPECT_EQ(fresh.version, 2);
  EXPECT_EQ(stage_.executors_alive(1), 2);
  stage_.Release();
  EXPECT_TRUE(old.listener->AwaitFinished().ok()) << old.listener->status();
  EXPECT_TRUE(fresh.listener->AwaitFinished().ok()) << fresh.listener->status();
  stage_.AwaitExecutorsAlive(1, 0);
  stage_.AwaitLogged("unloaded model=mine version=1");
  EXPECT_THAT(stage_.States(), ElementsAre("1 on disk", "2 serving"));
}

TEST_F(VersionManagerTest, AnOldVersionIsFreedToWhoeverCancelsLast) {
  stage_.Publish();
  Start();
  ModelCatalog::Model found = *stage_.catalog().Find("mine");  // A request not submitted yet.
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_EQ(stage_.executors_alive(1), 2) << "it may still come";
  found.reset();
  stage_.AwaitExecutorsAlive(1, 0);
}

TEST_F(VersionManagerTest, ABadVersionIsRefusedOnceAndTheOldOneServesOn) {
  stage_.Publish();
  Start();
  stage_.Release();
  stage_.Publish();
  stage_.Break(2);
  for (int i = 0; i < 3; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(stage_.loads(), 2) << "not tried again while it stays as it is";
  EXPECT_EQ(stage_.Logged("refused model=mine version=2 error="), 1);
  EXPECT_THAT(stage_.States(), ElementsAre("1 serving", "2 refused"));
  EXPECT_TRUE(stage_.Submit().listener->AwaitFinished().ok());
  stage_.Mend(2);
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 2);
}

TEST_F(VersionManagerTest, EveryKindOfBadVersionIsRefusedWithItsReason) {
  stage_.Publish();
  Start();
  struct Bad {
    std::function<void(const fs::path&)> make;
    const char* reason;
  };
  const std::vector<Bad> kinds = {
      {[](const fs::path& path) { fs::remove(path / "unet/config.json"); }, "not a checkpoint"},
      {[](const fs::path& path) { WriteWholeFile(path / "model_index.json", "{"); },
       "model_index.json"},
      {[](const fs::path& path) {
         WriteWholeFile(path / "version.json",
                        absl::StrCat("{\"digest\": \"", std::string(64, '0'), "\"}"));
       },
       "was published"},
      {[](const fs::path& path) { WriteWholeFile(path / "version.json", "{}"); }, "version.json"},
      {[](const fs::path& path) {
         CheckpointConfig config = SmallConfig();
         config.unet.out_channels = 5;
         const OwnedTensors tensors = SmallTensors(100);
         fs::remove(path / "version.json");
         ASSERT_TRUE(SaveCheckpoint(path, config, tensors.views()).ok());
       },
       "out_channels is 5"}};
  int version = 1;
  for (const Bad& bad : kinds) {
    stage_.Publish();
    bad.make(stage_.version(++version));
    stage_.manager().Poll();
    EXPECT_EQ(stage_.serving(), 1) << bad.reason;
    const auto models = stage_.manager().ListModelVersions("mine");
    ASSERT_TRUE(models.ok());
    EXPECT_THAT(models->front().versions.back().refusal, HasSubstr(bad.reason));
  }
}

TEST_F(VersionManagerTest, AGoodVersionBelowABadOneIsServed) {
  stage_.Publish();
  Start();
  stage_.Publish();
  stage_.Publish();
  stage_.Break(3);
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 2);
  stage_.AwaitExecutorsAlive(1, 0);
  EXPECT_THAT(stage_.States(), ElementsAre("1 on disk", "2 serving", "3 refused"));
}

TEST_F(VersionManagerTest, AStartServesTheNewestThatIsGood) {
  for (int i = 0; i < 3; ++i) stage_.Publish();
  stage_.Break(3);
  Start();
  EXPECT_EQ(stage_.serving(), 2);
}

TEST_F(VersionManagerTest, APinIsFollowedAlsoBackwardsAndEndsWithTheFile) {
  for (int i = 0; i < 3; ++i) stage_.Publish();
  ASSERT_TRUE(PinVersion(stage_.model(), 2).ok());
  Start();
  EXPECT_EQ(stage_.serving(), 2);
  ASSERT_TRUE(PinVersion(stage_.model(), 1).ok());
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  WriteWholeFile(stage_.model() / kPinnedVersionName, "latest");
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(stage_.Logged("says 'latest'"), 1) << "told once";
  WriteWholeFile(stage_.model() / kPinnedVersionName, "9");
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(stage_.Logged("model mine has no version 9"), 1);
  ASSERT_TRUE(UnpinVersion(stage_.model()).ok());
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 4);
}

TEST_F(VersionManagerTest, TooManyOldVersionsWithRequestsMakeTheNextSwapWait) {
  stage_.Publish();
  Start();
  std::vector<VersionStage::Request> requests;
  for (int i = 0; i < kMaxDrainingVersions; ++i) {
    requests.push_back(stage_.Submit());
    stage_.Publish();
    stage_.manager().Poll();
    EXPECT_EQ(stage_.serving(), i + 2);
  }
  const int last = kMaxDrainingVersions + 1;
  requests.push_back(stage_.Submit());
  stage_.Publish();
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), last);
  EXPECT_EQ(stage_.Logged("waits="), 1);
  // As soon as one is done, without another poll.
  stage_.Release();
  stage_.AwaitLogged(absl::StrCat("serving model=mine version=", last + 1));
  for (const VersionStage::Request& request : requests) {
    EXPECT_TRUE(request.listener->AwaitFinished().ok()) << request.listener->status();
  }
  for (int version = 1; version <= last; ++version) stage_.AwaitExecutorsAlive(version, 0);
}

TEST_F(VersionManagerTest, AWorkerThatIsBuiltAgainRunsOldAndNewThoughTheirFilesAreGone) {
  stage_.Publish();
  Start();
  VersionStage::Request old = stage_.Submit();
  stage_.AwaitStep(1);
  stage_.Publish();
  stage_.manager().Poll();
  VersionStage::Request fresh = stage_.Submit();
  fs::remove_all(stage_.repository());
  stage_.FailNextStep();
  stage_.Release();
  EXPECT_TRUE(old.listener->AwaitFinished().ok()) << old.listener->status();
  EXPECT_TRUE(fresh.listener->AwaitFinished().ok()) << fresh.listener->status();
}

TEST_F(VersionManagerTest, WorkersAreGivenWhatIsLoadedAndNoMore) {
  const auto given = [this] {
    std::vector<std::string> keys;
    const absl::StatusOr<StepExecutors> executors = stage_.loaded().MakeExecutors(DeviceSpec());
    for (const auto& [key, executor] : *executors) keys.push_back(key);
    return keys;
  };
  stage_.Publish();
  Start();
  VersionStage::Request old = stage_.Submit();
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_THAT(given(), ElementsAre("mine/1", "mine/2")) << "requests still run on the old one";
  stage_.Release();
  EXPECT_TRUE(old.listener->AwaitFinished().ok());
  stage_.AwaitLogged("unloaded model=mine version=1");
  EXPECT_THAT(given(), ElementsAre("mine/2"));
}

TEST_F(VersionManagerTest, ACheckpointWithoutNumberIsReplacedInPlace) {
  const OwnedTensors one = SmallTensors(101), two = SmallTensors(102);
  fs::create_directories(stage_.repository());
  ASSERT_TRUE(SaveCheckpoint(stage_.model(), SmallConfig(), one.views()).ok());
  Start();
  EXPECT_EQ(stage_.serving(), 0);
  const std::string before = (*stage_.catalog().Find("mine"))->digest;
  ASSERT_TRUE(SaveCheckpoint(stage_.model(), SmallConfig(), two.views()).ok());
  stage_.manager().Poll();
  EXPECT_NE((*stage_.catalog().Find("mine"))->digest, before);
  stage_.Release();
  EXPECT_TRUE(stage_.Submit().listener->AwaitFinished().ok());
}

TEST_F(VersionManagerTest, NewModelsAreTakenAndThoseThatAreGoneServeOn) {
  stage_.Publish();
  Start();
  stage_.Publish("other");
  stage_.manager().Poll();
  EXPECT_TRUE(stage_.catalog().Find("other").ok());
  fs::remove_all(stage_.model());
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(stage_.Logged("gone model=mine error="), 1);
  // What is no model's name keeps nobody from a new version.
  fs::create_directories(stage_.repository() / "two words/unet");
  stage_.Publish("other");
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.Logged("refused model=\"two words\" error="), 1);
  EXPECT_EQ((*stage_.catalog().Find("other"))->version, 2);
  fs::remove_all(stage_.repository());
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.Logged("cannot be listed"), 1);
  EXPECT_EQ(stage_.serving(), 1);
}

}  // namespace
}  // namespace diffusiond
