// Whatever happens to a publisher, a repository holds whole versions and none that is half.
#include "model/checkpoint/publish_version.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <limits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/model_versions.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class PublishVersionTest : public ::testing::Test {
 protected:
  // A checkpoint whose digest depends on `value`.
  fs::path Source(float value) {
    const fs::path directory = scratch_ / absl::StrCat("source-", value);
    EXPECT_TRUE(SaveCheckpoint(directory, SmallConfig(), SmallTensors(value).views()).ok());
    return directory;
  }
  absl::StatusOr<PublishedVersion> Publish(const fs::path& source, int keep = 0) {
    return PublishVersion(repository_, source, {.name = "mine", .keep = keep, .training = ""});
  }
  std::vector<int> Versions() const { return ListVersions(model_).value_or(std::vector<int>()); }
  std::string Digest(int version) const {
    const auto checkpoint = Checkpoint::Open(model_ / absl::StrCat(version));
    return checkpoint.ok() ? checkpoint->digest() : checkpoint.status().ToString();
  }
  // What lies beside versions, pin and lock.
  std::set<std::string> LeftOver() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(model_)) {
      const std::string name = entry.path().filename();
      if (!ParseVersion(name) && name != ".publish.lock" && name != kPinnedVersionName) {
        names.insert(name);
      }
    }
    return names;
  }

  ScratchDirectory scratch_{MemoryTempDir()};
  const fs::path repository_ = scratch_ / "models";
  const fs::path model_ = repository_ / "mine";
};

TEST_F(PublishVersionTest, NumbersVersionsFromOneAndNotesTheDigest) {
  for (int i = 1; i <= 3; ++i) {
    const fs::path source = Source(static_cast<float>(i));
    const auto published = Publish(source);
    ASSERT_TRUE(published.ok()) << published.status();
    EXPECT_EQ(published->version, i);
    EXPECT_FALSE(published->already_there);
    EXPECT_EQ(published->digest, Checkpoint::Open(source)->digest());
    EXPECT_EQ(Digest(i), published->digest);
    const auto record = ReadVersionRecord(published->directory);
    ASSERT_TRUE(record.ok() && record->has_value()) << record.status();
    EXPECT_EQ((*record)->digest, published->digest);
    EXPECT_THAT(ReadWholeFile(published->directory / "README.md"), HasSubstr(published->digest));
  }
  EXPECT_THAT(Versions(), ElementsAre(1, 2, 3));
  EXPECT_THAT(LeftOver(), IsEmpty());
}

TEST_F(PublishVersionTest, TriedAgainPublishesNothingNew) {
  const fs::path source = Source(1);
  ASSERT_TRUE(Publish(source).ok());
  const auto again = Publish(source);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->already_there);
  EXPECT_EQ(again->version, 1);
  // Other defaults are another version, though the weights are the same.
  CheckpointConfig config = SmallConfig();
  config.generation.emplace();
  ASSERT_TRUE(SaveCheckpoint(source, config, SmallTensors(1).views()).ok());
  EXPECT_EQ(Publish(source)->version, 2);
}

TEST_F(PublishVersionTest, BringsTheModelCardAndItsPicturesAlong) {
  const fs::path source = Source(1);
  WriteWholeFile(source / "README.md", "card");
  WriteWholeFile(source / "samples.png", "picture");
  WriteWholeFile(source / ".hidden", "no");
  ASSERT_TRUE(Publish(source).ok());
  EXPECT_EQ(ReadWholeFile(model_ / "1/README.md"), "card");
  EXPECT_EQ(ReadWholeFile(model_ / "1/samples.png"), "picture");
  EXPECT_FALSE(fs::exists(model_ / "1/.hidden"));
}

TEST_F(PublishVersionTest, KeepsTheNewestAndThePinned) {
  for (int i = 1; i <= 4; ++i) ASSERT_TRUE(Publish(Source(static_cast<float>(i))).ok());
  ASSERT_TRUE(PinVersion(model_, 2).ok());
  const auto published = Publish(Source(5), 2);
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_THAT(published->removed, ElementsAre(1, 3));
  EXPECT_THAT(Versions(), ElementsAre(2, 4, 5));
  EXPECT_THAT(LeftOver(), IsEmpty());
}

TEST_F(PublishVersionTest, RefusesWhatNoServerShouldServe) {
  OwnedTensors tensors;
  tensors.Add("conv_in.bias", {2}, {1, std::numeric_limits<float>::quiet_NaN()});
  const fs::path bad = scratch_ / "bad";
  ASSERT_TRUE(SaveCheckpoint(bad, SmallConfig(), tensors.views()).ok());
  const absl::Status not_finite = Publish(bad).status();
  EXPECT_EQ(not_finite.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(not_finite.message()), HasSubstr("element 1 of 'conv_in.bias'"));

  const fs::path cut = Source(2);
  fs::resize_file(cut / "unet/diffusion_pytorch_model.safetensors", 40);
  EXPECT_EQ(Publish(cut).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Publish(scratch_ / "nowhere").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(fs::exists(model_));
}

TEST_F(PublishVersionTest, RefusesWrongOptionsAndACheckpointInItsPlace) {
  const fs::path source = Source(1);
  for (const char* name : {"", ".", "..", "a/b", ".hidden", "sp ace"}) {
    const absl::Status status =
        PublishVersion(repository_, source, {.name = name, .keep = 0, .training = ""}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(Publish(source, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Publish(source, -1).status().code(), absl::StatusCode::kInvalidArgument);
  fs::create_directories(repository_);
  ASSERT_TRUE(SaveCheckpoint(model_, SmallConfig(), SmallTensors(1).views()).ok());
  EXPECT_EQ(Publish(source).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PublishVersionTest, PublishersAtOnceGetNumbersOfTheirOwn) {
  constexpr int kPublishers = 8;
  std::vector<fs::path> sources;
  for (int i = 0; i < kPublishers; ++i) sources.push_back(Source(static_cast<float>(i)));
  std::vector<std::thread> threads;
  for (const fs::path& source : sources) {
    threads.emplace_back([this, source] { EXPECT_TRUE(Publish(source).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> digests;
  for (const int version : Versions()) digests.insert(Digest(version));
  EXPECT_EQ(Versions().size(), size_t{kPublishers});
  EXPECT_EQ(digests.size(), size_t{kPublishers});
  EXPECT_THAT(LeftOver(), IsEmpty());
}

// Publishes in a process of its own that is killed when it enters its `call`-th system call. False:
// it ended before.
template <typename Publish>
bool KilledAtCall(int call, const Publish& publish) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    publish();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  // A stop at each call's entry and one at its exit.
  for (int stop = 0; stop < 2 * call - 1; ++stop) {
    ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) return false;
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return true;
}

// Under the thread sanitizer every system call of the traced child costs twelve times as much, and
// there is but one thread to look at.
#ifdef __SANITIZE_THREAD__
constexpr int kCallStride = 4;
#else
constexpr int kCallStride = 1;
#endif

TEST_F(PublishVersionTest, AKillAtAnySystemCallLeavesWholeVersionsAndTheNextPublisherCleansUp) {
  // Three versions, so that the killed publisher has one to remove as well.
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(Publish(Source(static_cast<float>(i))).ok());
  const fs::path before = scratch_ / "before";
  fs::copy(repository_, before, fs::copy_options::recursive);
  const fs::path source = Source(4), next = Source(5);
  const std::string digest = Checkpoint::Open(source)->digest();
  const std::string next_digest = Checkpoint::Open(next)->digest();

  int call = 1, published = 0;
  bool killed = true;
  for (; killed; call += kCallStride) {
    fs::remove_all(repository_);
    fs::copy(before, repository_, fs::copy_options::recursive);
    killed = KilledAtCall(call, [&] { (void)Publish(source, 2); });
    for (const int version : Versions()) {
      ASSERT_EQ(Digest(version).size(), 64u)
          << "call " << call << ", version " << version << ": " << Digest(version);
    }
    const bool there = Versions().back() == 4;
    ASSERT_EQ(there ? Digest(4) : digest, digest);
    published += there;
    // Goes on where the killed one left off.
    const auto after = Publish(next, 2);
    ASSERT_TRUE(after.ok()) << "call " << call << ": " << after.status();
    ASSERT_EQ(after->version, there ? 5 : 4);
    ASSERT_EQ(Digest(after->version), next_digest);
    ASSERT_EQ(Versions().size(), 2u);
    ASSERT_THAT(LeftOver(), IsEmpty()) << "call " << call;
  }
  EXPECT_GT(call, 100) << "system calls of a publisher";
  EXPECT_GT(published, 1) << "some were killed after the rename";
  EXPECT_LT(published, call / kCallStride / 2);
}

TEST(ModelVersions, AreDecimalNumbersFromOne) {
  EXPECT_EQ(ParseVersion("1"), 1);
  EXPECT_EQ(ParseVersion("999999999"), kMaxModelVersion);
  for (const char* name : {"", "0", "-1", "+1", " 1", "1 ", "1a", "v1", "1000000000",
                           "99999999999999999999", ".1", "1.0"}) {
    EXPECT_EQ(ParseVersion(name), std::nullopt) << name;
  }
}

TEST_F(PublishVersionTest, PinsAreReadBackAndTakenAway) {
  ASSERT_TRUE(Publish(Source(1)).ok());
  EXPECT_EQ(*ReadPinnedVersion(model_), std::nullopt);
  EXPECT_EQ(PinVersion(model_, 2).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(PinVersion(model_, 1).ok());
  EXPECT_EQ(*ReadPinnedVersion(model_), 1);
  ASSERT_TRUE(UnpinVersion(model_).ok());
  EXPECT_TRUE(UnpinVersion(model_).ok());
  EXPECT_EQ(*ReadPinnedVersion(model_), std::nullopt);
  WriteWholeFile(model_ / kPinnedVersionName, "the best one");
  const absl::Status status = ReadPinnedVersion(model_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'the best one'"));
}

TEST_F(PublishVersionTest, ADamagedRecordIsTold) {
  ASSERT_TRUE(Publish(Source(1)).ok());
  const fs::path record = model_ / "1" / kVersionRecordName;
  for (const char* text : {"", "[]", "{}", R"({"digest": 3})", R"({"digest": "beef"})"}) {
    WriteWholeFile(record, text);
    EXPECT_EQ(ReadVersionRecord(model_ / "1").status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
  fs::remove(record);
  EXPECT_FALSE(ReadVersionRecord(model_ / "1").value().has_value());
}

// Names come from whoever made the model; a card is for people to paste from.
TEST_F(PublishVersionTest, AClassNameOfTwoLinesIsNotPublished) {
  const fs::path source = Source(7);
  std::string index = ReadWholeFile(source / "model_index.json");
  const size_t at = index.find("shirt");
  ASSERT_NE(at, std::string::npos);
  WriteWholeFile(source / "model_index.json", index.insert(at, "x\\nimport os "));
  const auto published = Publish(source);
  EXPECT_EQ(published.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(published.status().message().find("the name of class 0 is 'x\\x0aimport os shirt'"),
            std::string::npos)
      << published.status();
}

TEST_F(PublishVersionTest, WhatNoServerCouldDrawWithIsNotPublished) {
  CheckpointConfig config = SmallConfig();
  config.unet.out_channels = 5;
  const OwnedTensors tensors = SmallTensors(7);
  const fs::path source = scratch_ / "wide";
  ASSERT_TRUE(SaveCheckpoint(source, config, tensors.views()).ok());
  const auto published = Publish(source);
  EXPECT_EQ(published.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(published.status().message().find("out_channels is 5"), std::string::npos);
}

// A network with classes has no pipeline in diffusers; one without them has DDPMPipeline.
TEST_F(PublishVersionTest, TheIndexNamesThePipelineThatDraws) {
  CheckpointConfig config = SmallConfig();
  EXPECT_EQ(PipelineClass(config), "");
  config.unet.num_class_embeds.reset();
  EXPECT_EQ(PipelineClass(config), "DDPMPipeline");
  config.scheduler.prediction_type = "score";
  EXPECT_EQ(PipelineClass(config), "");
  config.scheduler = SchedulerDefaults("EDMEulerScheduler");
  EXPECT_EQ(PipelineClass(config), "");
}

// diffusers' pipeline takes 1000 steps unless told, and its schedulers refuse more than they have.
TEST_F(PublishVersionTest, TheCardDrawsInPythonWithTheStepsOfTheDefaults) {
  CheckpointConfig config = SmallConfig();
  config.unet.num_class_embeds.reset();
  config.class_names.clear();
  config.null_class_id.reset();
  config.scheduler.num_train_timesteps = 100;
  const auto card = [&](const char* name) {
    const fs::path source = scratch_ / name;
    EXPECT_TRUE(SaveCheckpoint(source, config, SmallTensors(1).views()).ok());
    const auto published =
        PublishVersion(repository_, source, {.name = name, .keep = 0, .training = ""});
    EXPECT_TRUE(published.ok()) << published.status();
    return published.ok() ? ReadWholeFile(published->directory / "README.md") : "";
  };
  EXPECT_THAT(card("plain"), HasSubstr("from diffusers import DDPMPipeline\n\n"
                                       "pipeline = DDPMPipeline.from_pretrained(\".\")  # in this "
                                       "directory\n"
                                       "images = pipeline(batch_size=4, num_inference_steps=100)"
                                       ".images\n"));

  auto& options = config.generation.emplace().options;
  options["timestep_spacing"] = std::string("trailing");
  EXPECT_THAT(card("ddim"),
              HasSubstr("pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, "
                        "timestep_spacing=\"trailing\")\n"
                        "images = pipeline(batch_size=4, num_inference_steps=50).images\n"));

  // More than there are: what is drawn with in their place.
  options["steps"] = int64_t{200};
  EXPECT_THAT(card("fallback"), AllOf(HasSubstr("| drawn by default with | ddim, 50 steps"),
                                      HasSubstr("num_inference_steps=50)")));

  // The pipeline neither scales a scheduler's input nor passes it eta.
  options["steps"] = int64_t{20};
  options["eta"] = 1.0;
  EXPECT_THAT(card("eta"), HasSubstr("scheduler.set_timesteps(20)\n"));
  options["sampler"] = std::string("euler");
  EXPECT_THAT(card("euler"),
              AllOf(HasSubstr("EulerDiscreteScheduler.from_pretrained(\".\""),
                    HasSubstr("scheduler.set_timesteps(20)\n"), Not(HasSubstr("Pipeline"))));
}

}  // namespace
}  // namespace diffusiond
