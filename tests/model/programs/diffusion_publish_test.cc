// diffusion-publish as a process.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/model_versions.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/child_process.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
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
  // A network that runs; another for another `value`.
  std::string Save(const std::string& path, float value) {
    TensorMap tensors = base_.tensors();
    const std::vector<float> bias(static_cast<size_t>(base_.config().unet.out_channels), value);
    tensors.at("conv_out.bias").data = std::as_bytes(std::span(bias));
    return SaveAs(path, base_.config(), tensors);
  }
  std::string SaveAs(const std::string& path, const CheckpointConfig& config,
                     const TensorMap& tensors) {
    fs::create_directories((scratch_ / path).parent_path());
    const absl::Status saved = SaveCheckpoint(scratch_ / path, config, tensors);
    EXPECT_TRUE(saved.ok()) << saved;
    return (scratch_ / path).string();
  }

  const Checkpoint base_ = Checkpoint::Open(ShippedGoldenDirectory() / "unet/mnist_noattn").value();
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
  EXPECT_EQ(output_, "mine is pinned to version 1\n");
  EXPECT_EQ(Run({"--list", to_, "--publish_name=mine"}), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("1 digest="));
  EXPECT_THAT(output_, HasSubstr(" pinned\n2 digest="));
  EXPECT_EQ(Run({"--unpin", to_, "--publish_name=mine"}), 0) << output_;
  EXPECT_EQ(*ReadPinnedVersion(models_ / "mine"), std::nullopt);
  EXPECT_EQ(output_, "mine follows the newest version\n");
  EXPECT_EQ(Run({"--unpin", to_, "--publish_name=mien"}), 1);
  EXPECT_THAT(output_, HasSubstr("mien: there is no such model; nothing is unpinned"));
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
        Wrong{{to_, "--pin=0", "--publish_name=mine"}, "--pin is 0, expected a version: 1 .. 9"},
        Wrong{{checkpoint, to_, "--publish_name=a b"},
              "model name 'a b': a model's name is 1 .. 64 letters, digits, '.', '_' or '-', and "
              "begins with no '.'; --publish_name says another"},
        Wrong{{checkpoint, to_, "--keep_published_versions=1"},
              "--keep_published_versions is 1, expected 0 (all) or 2"},
        Wrong{{checkpoint, to_, "--max_model_memory=1000"},
              "--max_model_memory is 1000, allowed: 0 (half of the machine's memory), or"}}) {
    EXPECT_EQ(Run(wrong.arguments), 2) << output_;
    EXPECT_THAT(output_, HasSubstr(wrong.says));
  }
  EXPECT_EQ(Run({(scratch_ / "nowhere").string(), to_}), 1) << output_;
  EXPECT_FALSE(fs::exists(models_));
}

// What a server refuses: the two run one judgement.
TEST_F(DiffusionPublishTest, PublishesNothingThatNoServerLoads) {
  const TensorMap& good = base_.tensors();
  const std::vector<float> huge(good.at("conv_in.weight").data.size() / sizeof(float), 3e38F);
  TensorMap whole_numbers = good, other_shape = good, overflows = good;
  whole_numbers.at("conv_in.bias").dtype = Dtype::kI32;
  std::swap(other_shape.at("conv_out.weight").shape[0], other_shape.at("conv_out.weight").shape[1]);
  overflows.at("conv_in.weight").data = std::as_bytes(std::span(huge));
  CheckpointConfig more_layers = base_.config();
  more_layers.unet.layers_per_block = 32;
  struct Refused {
    const char* name;
    CheckpointConfig config;
    TensorMap tensors;
    const char* says;
  };
  for (const Refused& refused :
       {Refused{"nothing", base_.config(), {}, "missing: "},
        Refused{"whole", base_.config(), whole_numbers, "1 of a wrong type: 'conv_in.bias'"},
        Refused{"shape", base_.config(), other_shape, "1 of a wrong shape: 'conv_out.weight'"},
        Refused{"layers", more_layers, good, "missing: "},
        Refused{"overflow", base_.config(), overflows, "the network's output is not finite"}}) {
    EXPECT_EQ(Run({SaveAs(refused.name, refused.config, refused.tensors), to_}), 1) << output_;
    EXPECT_THAT(output_, AllOf(HasSubstr("not published: "), HasSubstr(refused.says)));
    EXPECT_FALSE(fs::exists(models_ / refused.name));
  }
}

TEST_F(DiffusionPublishTest, PublishesNothingThatTakesTooMuchMemory) {
  const std::string checkpoint = Save("mine", 1);
  EXPECT_EQ(Run({checkpoint, to_, "--max_model_memory=1048576"}), 1);
  EXPECT_THAT(output_, AllOf(HasSubstr("not published: takes about "),
                             HasSubstr("the limit is 0.00105 GB (--max_model_memory=1048576)")));
  EXPECT_EQ(Run({checkpoint, to_, "--max_model_memory=100000000000"}), 0) << output_;
  // A network of few weights that is to draw far more than there is memory for.
  CheckpointConfig large = base_.config();
  large.unet.sample_height = large.unet.sample_width = 4096;
  EXPECT_EQ(Run({SaveAs("large", large, base_.tensors()), to_, "--max_model_memory=2000000000"}),
            1);
  EXPECT_THAT(output_, HasSubstr("most of all for sample_size 4096 x 4096 with"));
  // One whose classes are most of its weights.
  CheckpointConfig classes = base_.config();
  const int64_t dim = 4 * classes.unet.block_out_channels[0], count = 10'000'000 / dim;
  const std::vector<float> table(static_cast<size_t>(count * dim));
  classes.unet.num_class_embeds = count;
  TensorMap tensors = base_.tensors();
  tensors["class_embedding.weight"] = {
      .dtype = Dtype::kF32, .shape = {count, dim}, .data = std::as_bytes(std::span(table))};
  EXPECT_EQ(Run({SaveAs("classes", classes, tensors), to_, "--max_model_memory=30000000"}), 1);
  EXPECT_THAT(output_, HasSubstr("not published: takes about "));
}

}  // namespace
}  // namespace diffusiond
