// diffusion-eval as a process: run, killed, run again, and given flags that cannot work.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/child_process.h"
#include "tests/testing/idx_files.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

class DiffusionEvalTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(scratch_ / "data");
    WriteIdxSplit(scratch_ / "data", "train", {.images = 40, .side = 28, .classes = 10});
    WriteIdxSplit(scratch_ / "data", "t10k", {.images = 80, .side = 28, .classes = 10});
  }

  std::vector<std::string> Command(const std::string& command, const std::string& out,
                                   std::vector<std::string> more = {}) {
    std::vector<std::string> words = {
        DIFFUSION_EVAL_PATH, command, "--checkpoint=tests/golden/unet/mnist_noattn",
        "--data=" + (scratch_ / "data").string(), "--out=" + (scratch_ / out).string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  // A classifier for --features.
  std::string TrainJudge() {
    ChildProcess process({DIFFUSION_TRAIN_PATH, "--image_classifier",
                          "--data=" + (scratch_ / "data").string(),
                          "--out=" + (scratch_ / "judge").string()});
    EXPECT_EQ(process.Wait(), 0) << process.output();
    EXPECT_NE(process.output().find(" % of 80 held-out images right: "), std::string::npos)
        << process.output();
    return (scratch_ / "judge" / "classifier.safetensors").string();
  }

  std::string Output(const std::string& out, const std::string& file) {
    return ReadWholeFile(scratch_ / out / file);
  }

  ScratchDirectory scratch_;
};

TEST_F(DiffusionEvalTest, AKilledMeasurementGoesOnToTheSameResult) {
  ChildProcess whole(Command("bpd", "whole", {"--timesteps=19"}));
  ASSERT_EQ(whole.Wait(), 0) << whole.output();
  EXPECT_NE(whole.output().find("80 images of the test split"), std::string::npos)
      << whole.output();
  EXPECT_NE(whole.output().find("\ntotal "), std::string::npos) << whole.output();

  ChildProcess killed(Command("bpd", "killed", {"--timesteps=19"}));
  ASSERT_TRUE(killed.ReadUntil("/80 images")) << killed.output();
  killed.Signal(SIGKILL);
  ASSERT_EQ(killed.Wait(), -SIGKILL) << killed.output();
  ASSERT_FALSE(fs::exists(scratch_ / "killed" / "bpd.json"));
  ChildProcess resumed(Command("bpd", "killed", {"--timesteps=19"}));
  ASSERT_EQ(resumed.Wait(), 0) << resumed.output();
  EXPECT_NE(resumed.output().find("going on after "), std::string::npos) << resumed.output();
  for (const char* file : {"bpd.json", "bpd_terms.csv", "bpd_terms.svg", "bpd.state"}) {
    EXPECT_EQ(Output("killed", file), Output("whole", file)) << file;
  }

  ChildProcess other(Command("bpd", "whole", {"--timesteps=18"}));
  EXPECT_NE(other.Wait(), 0) << other.output();
  EXPECT_NE(other.output().find("another measurement"), std::string::npos) << other.output();
}

TEST_F(DiffusionEvalTest, TheOdeGivesALineForEveryImageAndGoesOn) {
  const std::vector<std::string> flags = {"--images=33", "--ode_steps=2", "--micro_batch=2"};
  ChildProcess whole(Command("ode", "whole", flags));
  ASSERT_EQ(whole.Wait(), 0) << whole.output();
  EXPECT_NE(whole.output().find("33 images of the test split"), std::string::npos)
      << whole.output();
  EXPECT_EQ(std::ranges::count(Output("whole", "ode.csv"), '\n'), 34);

  ChildProcess killed(Command("ode", "killed", flags));
  ASSERT_TRUE(killed.ReadUntil("/33 images")) << killed.output();
  killed.Signal(SIGKILL);
  killed.Wait();  // With many cores all images may have been in one pass.
  ChildProcess resumed(Command("ode", "killed", flags));
  ASSERT_EQ(resumed.Wait(), 0) << resumed.output();
  for (const char* file : {"ode.json", "ode.csv"}) {
    EXPECT_EQ(Output("killed", file), Output("whole", file)) << file;
  }
}

TEST_F(DiffusionEvalTest, TheOdeTellsAModelWhatItsSchedulerSays) {
  const fs::path model = scratch_ / "told";
  fs::copy("tests/golden/unet/mnist_noattn", model, fs::copy_options::recursive);
  const std::string index = absl::StrReplaceAll(ReadWholeFile(model / "model_index.json"),
                                                {{"DDPMScheduler", "EulerDiscreteScheduler"}});
  std::ofstream(model / "model_index.json") << index;
  for (const std::string type : {"discrete", "continuous"}) {
    std::ofstream(model / "scheduler" / "scheduler_config.json")
        << R"({"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction",)"
        << R"( "timestep_type": ")" << type << "\"}";
    ChildProcess process(
        Command("ode", type, {"--checkpoint=" + model.string(), "--images=1", "--ode_steps=1"}));
    ASSERT_EQ(process.Wait(), 0) << process.output();
  }
  EXPECT_NE(Output("discrete", "ode.csv"), Output("continuous", "ode.csv"));
}

TEST_F(DiffusionEvalTest, TheLossyCodeHasATableAPlotAndStrips) {
  ChildProcess process(Command("lossy", "out", {"--images=2", "--strips=2"}));
  ASSERT_EQ(process.Wait(), 0) << process.output();
  EXPECT_NE(process.output().find("bits/dim for the image itself"), std::string::npos)
      << process.output();
  EXPECT_EQ(std::ranges::count(Output("out", "lossy.csv"), '\n'), 1002);
  EXPECT_EQ(Output("out", "lossy.svg").substr(0, 4), "<svg");
  EXPECT_EQ(Output("out", "lossy_strips.png").substr(1, 3), "PNG");
}

TEST_F(DiffusionEvalTest, StatisticsOfTheDataItselfAreTheBestThereAre) {
  const std::string images = (scratch_ / "data" / "t10k-images-idx3-ubyte").string();
  const std::string judge = TrainJudge();
  for (int round = 0; round < 2; ++round) {  // The second finds the data's features in the cache.
    ChildProcess process(
        Command("statistics", "out", {"--samples_from=" + images, "--features=" + judge}));
    ASSERT_EQ(process.Wait(), 0) << process.output();
    EXPECT_NE(process.output().find("precision 1.000  recall 1.000"), std::string::npos)
        << process.output();
    EXPECT_NE(process.output().find("Inception score"), std::string::npos) << process.output();
    EXPECT_NE(process.output().find("of the training images"), std::string::npos)
        << process.output();
  }
  EXPECT_EQ(Output("out", "neighbours.png").substr(1, 3), "PNG");
}

TEST_F(DiffusionEvalTest, AModelWithClassesIsMeasuredOnImagesWithout) {
  ChildProcess training({DIFFUSION_TRAIN_PATH, "--data=" + (scratch_ / "data").string(),
                         "--out=" + (scratch_ / "run").string(), "--channels=8",
                         "--attention_at=28", "--attention_head_dim=8", "--steps=1",
                         "--num_train_timesteps=10", "--sampler_steps=2", "--report=false",
                         "--held_out_images=1", "--batch_size=2"});
  ASSERT_EQ(training.Wait(), 0) << training.output();
  const std::string checkpoint = (scratch_ / "run" / "checkpoint").string();
  fs::create_directories(scratch_ / "bare");
  fs::copy(scratch_ / "data" / "t10k-images-idx3-ubyte", scratch_ / "bare" / "images.idx3-ubyte");
  const std::string images = (scratch_ / "bare" / "images.idx3-ubyte").string();
  ChildProcess process({DIFFUSION_EVAL_PATH, "bpd", "--checkpoint=" + checkpoint,
                        "--data=" + images, "--out=" + (scratch_ / "bare_out").string(),
                        "--images=2"});
  ASSERT_EQ(process.Wait(), 0) << process.output();
  EXPECT_NE(process.output().find("2 images of the test split, without class"), std::string::npos)
      << process.output();
  // The same run draws and is judged.
  ChildProcess samples({DIFFUSION_EVAL_PATH, "samples", "--checkpoint=" + checkpoint,
                        "--data=" + (scratch_ / "data").string(), "--features=" + TrainJudge(),
                        "--samples=20", "--sweep=ddpm:3:0:1:10",
                        "--out=" + (scratch_ / "samples").string()});
  ASSERT_EQ(samples.Wait(), 0) << samples.output();
  EXPECT_NE(samples.output().find(" of 20 in the class asked for"), std::string::npos)
      << samples.output();
  EXPECT_NE(samples.output().find(" of 10 in the class asked for"), std::string::npos)
      << samples.output();
  EXPECT_EQ(Output("samples", "nearest.png").substr(1, 3), "PNG");
  ChildProcess statistics({DIFFUSION_EVAL_PATH, "statistics", "--checkpoint=" + checkpoint,
                           "--data=" + (scratch_ / "data").string(),
                           "--features=" + (scratch_ / "judge" / "classifier.safetensors").string(),
                           "--samples=20", "--out=" + (scratch_ / "statistics").string()});
  ASSERT_EQ(statistics.Wait(), 0) << statistics.output();
  EXPECT_NE(statistics.output().find("20 drawn, ddim, 2 steps"), std::string::npos)
      << statistics.output();
}

TEST_F(DiffusionEvalTest, AModelThatNeedsClassesSaysWhyItHasNone) {
  ChildProcess training({DIFFUSION_TRAIN_PATH, "--data=" + (scratch_ / "data").string(),
                         "--out=" + (scratch_ / "run").string(), "--channels=8", "--steps=1",
                         "--attention_at=none", "--label_dropout=0", "--num_train_timesteps=10",
                         "--sampler_steps=2", "--report=false", "--held_out_images=1",
                         "--batch_size=2"});
  ASSERT_EQ(training.Wait(), 0) << training.output();
  const std::string checkpoint = "--checkpoint=" + (scratch_ / "run" / "checkpoint").string();
  for (const auto& [flag, why] : {std::pair{"--condition=none", "--condition is none"},
                                  std::pair{"--unconditional", "--data has no labels"}}) {
    ChildProcess process(Command("bpd", "needs", {checkpoint, flag}));
    EXPECT_EQ(process.Wait(), 2);
    EXPECT_NE(process.output().find(std::string("no null class, so it needs each image's: ") + why),
              std::string::npos)
        << process.output();
  }
}

TEST_F(DiffusionEvalTest, FlagsThatCannotWorkAreNamed) {
  struct Wrong {
    std::string command, flag, expected;
  };
  fs::create_directories(scratch_ / "small");
  WriteIdxSplit(scratch_ / "small", "t10k", {.images = 2, .side = 8, .classes = 2});
  const std::string images = (scratch_ / "data" / "t10k-images-idx3-ubyte").string();
  const std::string judge = TrainJudge();
  const std::string weights =
      "tests/golden/unet/mnist_noattn/unet/diffusion_pytorch_model.safetensors";
  WriteIdxSplit(scratch_ / "small", "train", {.images = 4, .side = 8, .classes = 2});
  const std::string small_judge = (scratch_ / "small" / "classifier.safetensors").string();
  ChildProcess small({DIFFUSION_TRAIN_PATH, "--image_classifier",
                      "--data=" + (scratch_ / "small").string(),
                      "--out=" + (scratch_ / "small").string()});
  ASSERT_EQ(small.Wait(), 0) << small.output();
  for (const Wrong& wrong :
       {Wrong{"bdp", "", "command is \"bdp\"; it must be one of samples, bpd"},
        {"bpd", "more", "unexpected argument \"more\""},
        {"bpd", "--checkpoint=", "--checkpoint is required"},
        {"bpd", "--out=", "--out is required"},
        {"bpd", "--decoder=huffman", "--decoder is \"huffman\""},
        {"bpd", "--split=valid", "--split is \"valid\""},
        {"bpd", "--images=-2", "--images is -2"},
        {"bpd", "--timesteps=-1", "--timesteps is -1"},
        {"bpd", "--micro_batch=0", "--micro_batch is 0"},
        {"bpd", "--device=gpu", "--device is \"gpu\"; it must be cpu, cuda or cuda:N"},
        {"samples", "--device=cuda:4000", "--device is \"cuda:4000\"; "},
        {"bpd", "--condition=label", "--condition is \"label\""},
        {"bpd", "--condition=class", "the model has none"},
        {"bpd", "--data=" + (scratch_ / "small").string(), "images of 1x8x8"},
        {"ode", "--ode_steps=0", "--ode_steps is 0"},
        {"ode", "--ode_method=euler", "--ode_method: "},
        {"lossy", "--strips=0", "--strips is 0"},
        {"statistics", "--features_pixels=float --features=x", "--features_pixels: "},
        {"statistics", "--features=CMakeLists.txt", "LibTorch cannot read it"},
        {"statistics", "", "--features is required"},
        {"statistics", "--features=" + small_judge, "the classifier is of images of 1x8x8"},
        {"statistics", "--features=" + weights, "it is no classifier"},
        {"statistics", "--samples=0 --features=" + judge, "samples is 0"},
        {"statistics", "--neighbours=80 --samples_from=" + images + " --features=" + judge,
         "--neighbours: "},
        {"samples", "", "no classes to judge by"}}) {
    std::vector<std::string> words = Command(wrong.command, "out");
    for (absl::string_view flag : absl::StrSplit(wrong.flag, ' ', absl::SkipEmpty())) {
      words.emplace_back(flag);
    }
    ChildProcess process(words);
    EXPECT_EQ(process.Wait(), 2) << wrong.flag << "\n" << process.output();
    EXPECT_NE(process.output().find(wrong.expected), std::string::npos) << wrong.flag << "\n"
                                                                        << process.output();
  }
}

}  // namespace
}  // namespace diffusiond
