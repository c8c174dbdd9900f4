// What operators ask for: versions by number, rollbacks that hold, and old versions at hand.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_versions.h"
#include "server/versions/version_manager.h"
#include "tests/server/versions/version_stage.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VersionOperationsTest : public ::testing::Test {
 protected:
  void Start(int versions, int keep_versions = 1) {
    for (int i = 0; i < versions; ++i) stage_.Publish();
    const absl::Status status = stage_.Start(keep_versions);
    ASSERT_TRUE(status.ok()) << status;
    stage_.Release();
  }
  absl::Status Load(int version) {
    return stage_.manager().LoadModelVersion("mine", version).status();
  }
  absl::Status RollBack(int version = 0) {
    return stage_.manager().RollBackModel("mine", version).status();
  }

  VersionStage stage_;
};

TEST_F(VersionOperationsTest, ARollbackHoldsUntilTheNewestIsAskedFor) {
  Start(3);
  ASSERT_TRUE(RollBack().ok());
  EXPECT_EQ(stage_.serving(), 2);
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 2) << "the poll does not go forward to the bad one again";
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 2) << "nor to one that came after it";
  const auto models = stage_.manager().ListModelVersions("mine");
  ASSERT_TRUE(models.ok());
  EXPECT_EQ(models->front().held, 2);
  ASSERT_TRUE(Load(0).ok());
  EXPECT_EQ(stage_.serving(), 4);
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 5) << "it follows again";
}

TEST_F(VersionOperationsTest, ARollbackGoesToTheOneThatWasServedBefore) {
  Start(1);
  stage_.Publish();
  stage_.Publish();
  stage_.Break(2);
  stage_.manager().Poll();
  ASSERT_EQ(stage_.serving(), 3);
  ASSERT_TRUE(RollBack().ok());
  EXPECT_EQ(stage_.serving(), 1) << "2 was never served";
  const absl::Status status = RollBack();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no version before"));
}

TEST_F(VersionOperationsTest, AVersionIsLoadedByNumberAndHeld) {
  Start(3);
  ASSERT_TRUE(Load(1).ok());
  EXPECT_EQ(stage_.serving(), 1);
  ASSERT_TRUE(RollBack(2).ok());
  EXPECT_EQ(stage_.serving(), 2);
  const absl::Status missing = Load(9);
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("no version 9"));
  EXPECT_EQ(stage_.serving(), 2);
  EXPECT_EQ(stage_.manager().ListModelVersions("mine")->front().problem, "")
      << "of who asked, not of the model";
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 2) << "what failed is not held to";
}

TEST_F(VersionOperationsTest, ARollbackFromAVersionThatWasTouchedGoesToTheOneBefore) {
  Start(1);
  stage_.Publish();
  stage_.manager().Poll();
  stage_.Break(2);
  stage_.Mend(2);
  stage_.manager().Poll();
  EXPECT_EQ(stage_.loads(), 3);
  EXPECT_EQ(stage_.Metric("diffusiond_model_info", "mine"), 1);
  ASSERT_TRUE(RollBack().ok());
  EXPECT_EQ(stage_.serving(), 1);
}

TEST_F(VersionOperationsTest, WhereNoVersionIsServedNoneIsBefore) {
  stage_.Publish();
  stage_.Break(1);
  EXPECT_FALSE(stage_.Start().ok());
  EXPECT_EQ(RollBack().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(VersionOperationsTest, ABadVersionIsNotServedAndTriedAgainWhenAskedFor) {
  Start(2);
  stage_.Publish();
  stage_.Break(3);
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = Load(3);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("; version 2 of mine is served"));
    EXPECT_EQ(stage_.serving(), 2);
  }
  EXPECT_EQ(stage_.loads(), 3);
  EXPECT_FALSE(Load(0).ok()) << "the newest is the bad one";
  EXPECT_EQ(stage_.serving(), 2);
}

TEST_F(VersionOperationsTest, ASwapToTheNewestGoodOneIsOkAndNamesTheRefused) {
  Start(1);
  stage_.Publish();
  stage_.Publish();
  stage_.Break(3);
  const auto swapped = stage_.manager().LoadModelVersion("mine", 0);
  ASSERT_TRUE(swapped.ok()) << swapped.status();
  EXPECT_EQ(stage_.serving(), 2);
  EXPECT_EQ(swapped->versions.back().state, VersionInfo::State::kRefused);
  EXPECT_FALSE(Load(0).ok()) << "nothing was swapped";
}

TEST_F(VersionOperationsTest, APinGoesBeforeWhatOneServerIsAskedFor) {
  Start(3);
  ASSERT_TRUE(PinVersion(stage_.model(), 2).ok());
  for (const absl::Status& status : {Load(1), RollBack(1)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("pinned to version 2"), HasSubstr(kPinnedVersionName)));
  }
  ASSERT_TRUE(Load(0).ok());
  EXPECT_EQ(stage_.serving(), 2);
}

TEST_F(VersionOperationsTest, KeptVersionsAnswerByDigestAndComeBackWithoutLoading) {
  Start(1, /*keep_versions=*/2);
  const std::string first = (*stage_.catalog().Find("mine"))->digest;
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_THAT(stage_.States(), ElementsAre("1 kept", "2 serving"));
  VersionStage::Request replay = stage_.Submit(first);
  EXPECT_EQ(replay.version, 1);
  EXPECT_TRUE(replay.listener->AwaitFinished().ok());
  ASSERT_TRUE(RollBack().ok());
  EXPECT_THAT(stage_.States(), ElementsAre("1 serving", "2 kept"));
  EXPECT_EQ(stage_.loads(), 2);
  ASSERT_TRUE(Load(0).ok());
  EXPECT_EQ(stage_.loads(), 2);
  stage_.Publish();
  stage_.manager().Poll();
  stage_.AwaitExecutorsAlive(1, 0);
  EXPECT_THAT(stage_.States(), ElementsAre("1 on disk", "2 kept", "3 serving"));
  const absl::Status gone = stage_.catalog().Find("mine", first).status();
  EXPECT_EQ(gone.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(gone.message()), AllOf(HasSubstr(first.substr(0, 40)),
                                                 HasSubstr("version 3"), HasSubstr("version 2")));
}

TEST_F(VersionOperationsTest, WhatIsNotNumberedOrNotThereIsTold) {
  Start(1);
  EXPECT_EQ(stage_.manager().LoadModelVersion("yours", 1).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(stage_.manager().ListModelVersions("yours").status().code(),
            absl::StatusCode::kNotFound);
  std::filesystem::copy(stage_.version(1), stage_.repository() / "plain",
                        std::filesystem::copy_options::recursive);
  std::filesystem::remove(stage_.repository() / "plain/version.json");
  stage_.manager().Poll();
  for (const absl::Status& status : {stage_.manager().LoadModelVersion("plain", 1).status(),
                                     stage_.manager().RollBackModel("plain", 0).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("no numbered versions"));
  }
  EXPECT_TRUE(stage_.manager().LoadModelVersion("plain", 0).ok());
  stage_.manager().Stop();
  EXPECT_EQ(Load(0).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace diffusiond
