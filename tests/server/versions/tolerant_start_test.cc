// A server starts with what is good, refuses the rest singly, and goes on looking.
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_versions.h"
#include "server/versions/version_manager.h"
#include "tests/server/versions/version_stage.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kUnserved[] = "diffusiond_model_unserved";
constexpr char kRefused[] = "diffusiond_model_versions_refused_total";

class TolerantStart : public ::testing::Test {
 protected:
  void Add(const std::string& directory) {
    fs::create_directories(stage_.repository() / directory);
  }
  std::string Problem(const std::string& model) {
    const auto models = stage_.manager().ListModelVersions(model);
    EXPECT_TRUE(models.ok()) << models.status();
    return models.ok() ? models->front().problem : "";
  }
  void Draw() {
    stage_.Release();
    const VersionStage::Request request = stage_.Submit();
    ASSERT_GE(request.version, 0) << "not served";
    ASSERT_TRUE(request.listener->AwaitFinished().ok()) << request.listener->status();
  }

  VersionStage stage_;
};

TEST_F(TolerantStart, GoodModelsAreServedBesideWhatIsRefused) {
  stage_.Publish();
  stage_.Publish("bad");
  fs::resize_file(stage_.repository() / "bad/1/unet/diffusion_pytorch_model.safetensors", 40);
  Add("lost+found");
  Add("docs/pictures");
  Add("two words");
  const absl::Status first = stage_.Start();
  EXPECT_THAT(std::string(first.message()), HasSubstr("docs holds no model"))
      << "for who wants to end";
  EXPECT_EQ(stage_.serving(), 1);
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  Draw();
  EXPECT_EQ(stage_.Logged("refused model=docs error="), 1) << "once, not at every look";
  EXPECT_EQ(stage_.Logged("refused model=\"two words\" error="), 1);
  EXPECT_EQ(stage_.Logged("refused model=bad version=1 error="), 1);
  EXPECT_EQ(stage_.Logged("lost+found"), 0);
  EXPECT_EQ(stage_.loads(), 2);
  for (const char* name : {"docs", "two words", "bad"}) {
    EXPECT_EQ(stage_.Metric(kUnserved, name), 1) << name;
    EXPECT_EQ(stage_.Metric(kRefused, name), 1) << name;
    EXPECT_EQ(stage_.catalog().Find(name).status().code(), absl::StatusCode::kNotFound);
  }
  EXPECT_EQ(stage_.Metric(kUnserved, "mine"), 0);
  EXPECT_EQ(stage_.Metric(kUnserved, "lost+found"), std::nullopt);
}

TEST_F(TolerantStart, OperatorsSeeWhatIsNotServedAndWhy) {
  stage_.Publish();
  stage_.Break(1);
  Add("docs/v1");
  Add("docs/2024-01-01");
  EXPECT_FALSE(stage_.Start().ok());
  const auto models = stage_.manager().ListModelVersions("");
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->size(), 2u);
  EXPECT_EQ(models->front().name, "docs");
  EXPECT_THAT(models->front().versions, IsEmpty());
  EXPECT_THAT(models->front().problem, AllOf(HasSubstr("neither a checkpoint"),
                                             HasSubstr("'2024-01-01' and 'v1' are no versions"),
                                             HasSubstr("a whole number, 1 .. 999999999")));
  EXPECT_EQ(models->back().name, "mine");
  EXPECT_THAT(stage_.States(), ElementsAre("1 refused"));
  const absl::Status swap = stage_.manager().LoadModelVersion("docs", 0).status();
  EXPECT_EQ(swap.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(swap.message()), HasSubstr("neither a checkpoint"));
}

TEST_F(TolerantStart, AModelThatIsMendedIsServed) {
  stage_.Publish();
  stage_.Break(1);
  Add("docs/pictures");
  EXPECT_THAT(std::string(stage_.Start().message()), HasSubstr("docs"));
  EXPECT_EQ(stage_.serving(), -1);
  EXPECT_EQ(stage_.Metric(kUnserved, "mine"), 1);
  stage_.Mend(1);
  fs::remove_all(stage_.repository() / "docs");
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(stage_.Metric(kUnserved, "mine"), 0);
  EXPECT_EQ(stage_.Metric(kUnserved, "docs"), std::nullopt) << "what is gone is not missed";
  Draw();
  // Put there again, it is told of again.
  Add("docs/pictures");
  stage_.manager().Poll();
  EXPECT_EQ(stage_.Logged("refused model=docs"), 2);
}

TEST_F(TolerantStart, WhatWasWrongBeforeIsNotToldOfABadVersion) {
  Add("mine/pictures");
  EXPECT_FALSE(stage_.Start().ok());
  EXPECT_THAT(Problem("mine"), HasSubstr("holds no model"));
  fs::remove_all(stage_.model());
  stage_.Publish();
  stage_.Break(1);
  stage_.manager().Poll();
  EXPECT_THAT(stage_.States(), ElementsAre("1 refused"));
  EXPECT_EQ(Problem("mine"), "");
}

TEST_F(TolerantStart, WithoutAGoodVersionTheNewestsReasonIsTheFirst) {
  for (int i = 0; i < 2; ++i) stage_.Publish();
  for (int i = 1; i <= 2; ++i) stage_.Break(i);
  EXPECT_THAT(std::string(stage_.Start().message()), HasSubstr(stage_.version(2).string()));
  EXPECT_THAT(stage_.States(), ElementsAre("1 refused", "2 refused"));
}

TEST_F(TolerantStart, ARepositoryThatComesLateIsServed) {
  const absl::Status absent = stage_.Start();
  EXPECT_EQ(absent.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(stage_.Logged("cannot be listed"), 1);
  EXPECT_EQ(stage_.catalog().Find("").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(stage_.manager().ListModelVersions("").status().code(), absl::StatusCode::kNotFound);
  fs::create_directories(stage_.repository());
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.Logged("holds no model"), 1);
  stage_.Publish();
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  Draw();
}

// Poll stands for --model_poll_interval here; without it an operator's word is enough.
TEST_F(TolerantStart, AnOperatorBringsInTheFirstModelToo) {
  EXPECT_FALSE(stage_.Start().ok());
  stage_.Publish();
  EXPECT_TRUE(stage_.manager().LoadModelVersion("mine", 0).ok());
  EXPECT_EQ(stage_.serving(), 1);
  Draw();
}

TEST_F(TolerantStart, AWorkerIsBuiltAgainWithoutModelsAndWithThoseThatCameLater) {
  EXPECT_FALSE(stage_.Start().ok());
  EXPECT_TRUE(stage_.loaded().MakeExecutors(DeviceSpec())->empty());
  stage_.Publish();
  stage_.manager().Poll();
  stage_.FailNextStep();
  Draw();
}

TEST_F(TolerantStart, APinThatCannotBeFollowedIsShown) {
  stage_.Publish();
  WriteWholeFile(stage_.model() / kPinnedVersionName, "latest");
  EXPECT_THAT(std::string(stage_.Start().message()), HasSubstr("says 'latest'"));
  EXPECT_THAT(Problem("mine"), HasSubstr("says 'latest'"));
  EXPECT_EQ(stage_.Logged("says 'latest'"), 1);
  EXPECT_EQ(stage_.Logged("state=\"not served\""), 1);
  ASSERT_TRUE(UnpinVersion(stage_.model()).ok());
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(Problem("mine"), "");
}

TEST_F(TolerantStart, NamesThatAreNoVersionsAreToldOnceAndKeepNobody) {
  stage_.Publish();
  Add("mine/v2");
  ASSERT_TRUE(stage_.Start().ok());
  for (int i = 0; i < 2; ++i) stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(stage_.Logged("model=mine passed_over=\"'v2' is no version"), 1);
  EXPECT_THAT(Problem("mine"), HasSubstr("'v2' is no version"));
}

TEST_F(TolerantStart, WhatIsNotThereAnyMoreIsNotListedAsRefused) {
  stage_.Publish();
  stage_.Publish();
  stage_.Break(2);
  ASSERT_TRUE(stage_.Start().ok()) << "there is a good version";
  EXPECT_THAT(stage_.States(), ElementsAre("1 serving", "2 refused"));
  fs::remove_all(stage_.version(2));
  stage_.manager().Poll();
  EXPECT_THAT(stage_.States(), ElementsAre("1 serving"));
}

TEST_F(TolerantStart, RefusedDirectoriesPastTheLimitAreToldAsOneNumber) {
  stage_.Publish();
  for (size_t i = 0; i < kMaxRefusedDirectories + 2; ++i) Add(absl::StrCat("d", i, "/x"));
  EXPECT_FALSE(stage_.Start().ok());
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 1);
  EXPECT_EQ(stage_.Logged("refused model="), static_cast<int>(kMaxRefusedDirectories));
  EXPECT_EQ(stage_.Logged("holds 2 more directories that are refused"), 1);
}

TEST_F(TolerantStart, LeadingZerosAreTakenAndTwoOfOneVersionRefused) {
  stage_.Publish();
  stage_.Publish();
  fs::rename(stage_.version(2), stage_.model() / "002");
  ASSERT_TRUE(stage_.Start().ok());
  EXPECT_EQ(stage_.serving(), 2);
  EXPECT_EQ(stage_.Logged("loaded model=mine version=2 "), 1);
  stage_.Publish();
  EXPECT_TRUE(fs::exists(stage_.version(3))) << "the next number after 002";
  fs::copy(stage_.version(1), stage_.model() / "0003", fs::copy_options::recursive);
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 2);
  const auto models = stage_.manager().ListModelVersions("mine");
  ASSERT_TRUE(models.ok());
  EXPECT_THAT(models->front().versions.back().refusal,
              HasSubstr("version 3 more than once, as '0003' and '3'"));
  fs::remove_all(stage_.version(3));
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 3);
  ASSERT_TRUE(PinVersion(stage_.model(), 2).ok()) << "the folder is 002";
  stage_.manager().Poll();
  EXPECT_EQ(stage_.serving(), 2);
}

// A device out of memory, a permission: the files do not change when it is over.
TEST(TolerantStartTest, WhatMayPassIsTriedAgainLaterAndLater) {
  VersionStage stage;
  stage.Publish();
  stage.FailLoads(absl::ResourceExhaustedError("no memory for the model"));
  EXPECT_FALSE(stage.Start().ok());
  EXPECT_EQ(stage.loads(), 1);
  stage.manager().Poll();
  EXPECT_EQ(stage.loads(), 1) << "at once it is not over";
  stage.Advance(kFirstRetry);
  stage.manager().Poll();
  EXPECT_EQ(stage.loads(), 2);
  stage.Advance(kFirstRetry);
  stage.manager().Poll();
  EXPECT_EQ(stage.loads(), 2) << "twice as long as before";
  EXPECT_EQ(stage.Logged("no memory for the model"), 1) << "told once";
  stage.FailLoads(absl::OkStatus());
  stage.Advance(kFirstRetry);
  stage.manager().Poll();
  EXPECT_EQ(stage.serving(), 1);
}

TEST(TolerantStartTest, WhatIsWrongInTheFilesIsNotTriedAgain) {
  VersionStage stage;
  stage.Publish();
  stage.FailLoads(absl::InvalidArgumentError("a field is wrong"));
  EXPECT_FALSE(stage.Start().ok());
  stage.Advance(absl::Hours(1000));
  stage.manager().Poll();
  EXPECT_EQ(stage.loads(), 1);
}

}  // namespace
}  // namespace diffusiond
