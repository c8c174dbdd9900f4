// Every flag of a recipe is known and has a value that training takes, for images of its size.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "model/imaging/png.h"
#include "model/sampling/sampler.h"
#include "model/training/data/data_flags.h"
#include "model/training/options/trainer_flags.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

class RecipesTest : public testing::Test {
 protected:
  // A folder of images, as few as make a data set.
  fs::path Images(int side) const {
    const fs::path folder = directory_ / std::to_string(side);
    fs::create_directories(folder);
    const Image image{.width = side,
                      .height = side,
                      .channels = 3,
                      .pixels = std::vector<uint8_t>(static_cast<size_t>(side) * side * 3)};
    for (const char* name : {"a.png", "b.png"}) {
      std::ofstream(folder / name, std::ios::binary) << EncodePng(image).value();
    }
    return folder;
  }
  void SetUp() override { fs::remove_all(directory_); }
  void TearDown() override { fs::remove_all(directory_); }

  const fs::path directory_ = fs::path(testing::TempDir()) / "recipes_test";
};

// An unknown flag, or a value that a flag cannot be, ends the process.
void ParseFlags(std::vector<std::string> flags) {
  flags.insert(flags.begin(), "diffusion-train");
  std::vector<char*> arguments;
  for (std::string& flag : flags) arguments.push_back(flag.data());
  absl::ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

TEST_F(RecipesTest, AreAcceptedForImagesOfTheirSize) {
  int recipes = 0;
  for (const auto& entry : fs::directory_iterator("model/training/recipes")) {
    SCOPED_TRACE(entry.path());
    ++recipes;
    const absl::FlagSaver flags_as_before;
    const bool is_cifar = entry.path().stem() == "cifar10";
    ParseFlags({"--flagfile=" + entry.path().string(),
                "--data=" + Images(is_cifar ? 32 : 256).string(),
                "--out=" + (directory_ / "out").string()});
    const auto data = OpenDataFromFlags();
    ASSERT_TRUE(data.ok()) << data.status();
    const auto options = TrainerOptionsFromFlags(data->train);
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_EQ(Validate(*options), absl::OkStatus());
    EXPECT_TRUE(RunFingerprint(*options, data->train).ok());
    const auto schedule = MakeModelSchedule(options->model.scheduler);
    ASSERT_TRUE(schedule.ok()) << schedule.status();
    const auto plan = CompilePlan(*schedule, options->sampling);
    EXPECT_TRUE(plan.ok()) << plan.status();
    // Attention at 16x16 alone, and no labels: Ho et al. 2020, appendix B.
    for (size_t level = 0; level < options->model.unet.down_block_types.size(); ++level) {
      const bool attends = options->model.unet.down_block_types[level] == "AttnDownBlock2D";
      EXPECT_EQ(attends, options->model.unet.sample_height >> level == 16);
    }
    EXPECT_FALSE(options->model.unet.num_class_embeds.has_value());
  }
  EXPECT_EQ(recipes, 5);
}

}  // namespace
}  // namespace diffusiond
