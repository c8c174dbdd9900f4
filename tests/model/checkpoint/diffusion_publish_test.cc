// diffusion-publish as a process.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_versions.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"
#include "tests/testing/child_process.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DiffusionPublishTest : public ::testing::Test {
 protected:
  // The exit code; what it printed is in output_.
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), DIFFUSION_PUBLISH_PATH);
    ChildProcess process(arguments);
    const int code = process.Wait();
    output_ = process.output();
    return code;
  }
  std::string Save(const std::string& path, float value) {
    fs::create_directories((scratch_ / path).parent_path());
    EXPECT_TRUE(SaveCheckpoint(scratch_ / path, SmallConfig(), SmallTensors(value).views()).ok());
    return (scratch_ / path).string();
  }

  ScratchDirectory scratch_{MemoryTempDir()};
  const fs::path models_ = scratch_ / "models";
  const std::string to_ = "--publish_to=" + models_.string();
  std::string output_;
};

TEST_F(DiffusionPublishTest, PublishesUnderTheNameOfTheRunAndPins) {
  EXPECT_EQ(Run({Save("runs/mine/checkpoint", 1), to_}), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("published as " + (models_ / "mine/1").string()));
  EXPECT_EQ(Run({Save("yours", 2) + "/", to_}), 0) << output_;
  EXPECT_TRUE(fs::exists(models_ / "yours/1"));
  EXPECT_EQ(Run({Save("runs/mine/checkpoint", 3), to_, "--keep_published_versions=2"}), 0);
  EXPECT_EQ(Run({"--pin=1", to_, "--publish_name=mine"}), 0) << output_;
  EXPECT_EQ(*ReadPinnedVersion(models_ / "mine"), 1);
  EXPECT_EQ(Run({"--list", to_, "--publish_name=mine"}), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("1 digest="));
  EXPECT_THAT(output_, HasSubstr(" pinned\n2 digest="));
  EXPECT_EQ(Run({"--unpin", to_, "--publish_name=mine"}), 0) << output_;
  EXPECT_EQ(*ReadPinnedVersion(models_ / "mine"), std::nullopt);
}

TEST_F(DiffusionPublishTest, TellsWhatIsWrongWithTheCommandLine) {
  const std::string checkpoint = Save("mine", 1);
  struct Wrong {
    std::vector<std::string> arguments;
    const char* says;
  };
  for (const Wrong& wrong :
       {Wrong{{checkpoint}, "--publish_to is required"},
        Wrong{{to_}, "give one checkpoint's directory, or one of"},
        Wrong{{checkpoint, to_, "--list"}, "give one checkpoint's directory, or one of"},
        Wrong{{to_, "--pin=1"}, "--publish_name is required"},
        Wrong{{to_, "--pin=1", "--publish_name=../x"}, "model name '../x'"},
        Wrong{{checkpoint, to_, "--keep_published_versions=1"}, "expected 0 (all) or 2"}}) {
    EXPECT_EQ(Run(wrong.arguments), 2) << output_;
    EXPECT_THAT(output_, HasSubstr(wrong.says));
  }
  EXPECT_EQ(Run({(scratch_ / "nowhere").string(), to_}), 1) << output_;
  EXPECT_FALSE(fs::exists(models_));
}

}  // namespace
}  // namespace diffusiond
