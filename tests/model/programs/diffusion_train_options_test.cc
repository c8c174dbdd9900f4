// What diffusion-train makes of its flags and its data, and which it refuses.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/imaging/png.h"
#include "tests/model/programs/diffusion_train_runs.h"
#include "tests/testing/child_process.h"
#include "tests/testing/idx_files.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

using DiffusionTrainOptionsTest = DiffusionTrainRuns;

TEST_F(DiffusionTrainOptionsTest, ResumingAnotherRunIsRefused) {
  ChildProcess first(Command("run", {"--steps=2"}));
  ASSERT_EQ(first.Wait(), 0) << first.output();
  ChildProcess again(Command("run", {"--steps=2"}));
  EXPECT_NE(again.Wait(), 0);
  EXPECT_NE(again.output().find("--resume"), std::string::npos) << again.output();
  ChildProcess other(Command("run", {"--steps=2", "--resume", "--learning_rate=2e-3"}));
  EXPECT_NE(other.Wait(), 0);
  EXPECT_NE(other.output().find("another run"), std::string::npos) << other.output();
}

TEST_F(DiffusionTrainOptionsTest, WrongDataIsRefusedWithTheFilesName) {
  fs::resize_file(directory_ / "data" / "train-images-idx3-ubyte", 1000);
  ChildProcess truncated(Command("out"));
  EXPECT_NE(truncated.Wait(), 0);
  EXPECT_NE(truncated.output().find("train-images-idx3-ubyte"), std::string::npos)
      << truncated.output();
  EXPECT_FALSE(fs::exists(directory_ / "out"));
}

TEST_F(DiffusionTrainOptionsTest, OptionsThatCannotWorkAreNamed) {
  struct Wrong {
    std::string flag, expected;  // Several flags, with blanks between them.
  };
  for (const Wrong& wrong :
       {Wrong{"--channels=8,15", "norm_num_groups"},
        {"--channels=8,x", "--channels"},
        {"--attention_at=5", "--attention_at has 5; the levels' heights are"},
        {"--attention_at=4,auto", "--attention_at has \"auto\""},
        {"--sampler_spacing=", "--sampler_spacing: \"\" is not one of leading"},
        {"--rescale_betas_zero_snr", "with --prediction_type=epsilon it must not be"},
        {"--beta_end=0.1 --beta_schedule=squaredcos_cap_v2", "--beta_end is given"},
        {"--beta_start=0.1 --edm", "--beta_start is given; a model of EDM has none"},
        {"--beta_end=0.1 --beta_schedule=laplace", "--beta_end is given; --beta_schedule=laplace"},
        {"--beta_end=0.1 --beta_schedule=exp", "--beta_end is given; --beta_schedule=exp"},
        {"--beta_end=2", "beta_end is 2, expected 0 to 1"},
        {"--beta_start=0.5 --beta_end=0.1", "beta_start is 0.5"},
        {"--sampler_spacing=even", "--sampler_spacing: \"even\" is not one of leading"},
        {"--channels=8,16,16,16,16", "--channels has 5 levels"},
        {"--prediction_type=noise", "prediction_type"},
        {"--beta_schedule=square", "beta_schedule"},
        {"--loss_weight=p2", "loss_weight"},
        {"--min_snr_gamma=-1 --loss_weight=min_snr", "min_snr_gamma is -1"},
        {"--min_snr_gamma=4", "--min_snr_gamma is given; it does nothing without --loss_weight="},
        {"--vlb_weight=0.1", "--vlb_weight is given; it does nothing without --variance_type="},
        {"--sigma_data=0.4", "--sigma_data is given; it does nothing without --edm"},
        {"--edm_mean=-1", "--edm_mean is given; it does nothing without --edm"},
        {"--timestep_sampling=sobol", "timestep_sampling"},
        {"--variance_type=wide", "variance_type"},
        {"--variance_type=learned", "learned_range"},
        {"--vlb_weight=-1 --variance_type=learned_range", "--vlb_weight is -1"},
        {"--learn_schedule", "--loss_weight is unit"},
        {"--edm_deviation=0 --edm", "--edm_deviation is 0"},
        {"--label_dropout=0 --guidance_scale=2", "guidance_scale is 2"},
        {"--unconditional --guidance_scale=2", "guidance_scale is 2"},
        {"--edm --variance_type=learned_range", "with --edm it must be fixed_small"},
        {"--edm --prediction_type=sample", "allowed: epsilon, v_prediction (in a model of EDM)"},
        {"--flip false", "unexpected argument \"false\"; flags begin with --, and a switch is"},
        {"--sampler_steps=51", "--sampler_steps is 51; it must be 1 .. 50, the model's --num_tr"},
        {"--sampler_steps=0", "--sampler_steps is 0; it must be 1 or more"},
        {"--sampler=none", "--sampler, --sampler_steps, --sampler_spacing and --eta: "},
        {"--max_images=-2", "--max_images is -2; it must be 0 (all) or more"},
        {"--threads=-3", "--threads is -3; it must be 0 (one per core) or more"},
        {"--report_images=-5", "--report_images is -5; it must be 0 (none) or more"},
        {"--publish_name=a", "--publish_name is given, but not --publish_to=DIR"},
        {"--steps=0", "--steps is 0; it must be 1 .. 1000000000"},
        {"--batch_size=0", "batch_size is "},
        {"--max_data_gib=0", "--max_data_gib is 0; it must be above 0"},
        {"--ema_decay=1.5", "ema_decay is "},
        {"--label_dropout=-1", "label_dropout is "},
        {"--keep_checkpoints=0", "keep_checkpoints is "},
        {"--save_every_minutes=-1", "save_every_minutes is "},
        {"--on_nan=ignore", "--on_nan"},
        {"--publish_name=a/b", "model name 'a/b'"},
        {"--device=gpu", "--device"}}) {
    ChildProcess process(Command("out", absl::StrSplit(wrong.flag, ' ')));
    EXPECT_EQ(process.Wait(), 2) << wrong.flag << "\n" << process.output();
    EXPECT_NE(process.output().find(wrong.expected), std::string::npos) << wrong.flag << "\n"
                                                                        << process.output();
  }
}

TEST_F(DiffusionTrainOptionsTest, SamplerSpacingIsOfTheSheetsAndTheServedModel) {
  const auto sheet = [&](const std::string& out) {
    std::ifstream file(directory_ / out / "samples" / "step-0000001.png", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  for (const std::string spacing : {"", "leading", "trailing"}) {
    const std::string out = "spacing" + spacing;
    std::vector<std::string> flags = {"--steps=1", "--sample_every=1"};
    if (!spacing.empty()) flags.push_back("--sampler_spacing=" + spacing);
    ChildProcess run(Command(out, flags));
    ASSERT_EQ(run.Wait(), 0) << run.output();
    const auto checkpoint = Checkpoint::Open(directory_ / out / "checkpoint");
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    const std::string expected = spacing.empty() ? "trailing" : spacing;
    EXPECT_EQ(checkpoint->config().generation->options.at("timestep_spacing"),
              OptionValue(std::string(expected)));
    EXPECT_EQ(checkpoint->config().scheduler.timestep_spacing, expected) << "Python's too";
    EXPECT_FALSE(sheet(out).empty());
  }
  EXPECT_TRUE(sheet("spacing") == sheet("spacingtrailing")) << "begins with the noise there is";
  EXPECT_FALSE(sheet("spacingleading") == sheet("spacingtrailing"));
}

TEST_F(DiffusionTrainOptionsTest, BetasAreOfTheNumberOfTimestepsUnlessTheyAreGiven) {
  const auto scheduler = [&](const std::string& out, const std::vector<std::string>& flags,
                             bool warns) {
    std::vector<std::string> all = {"--steps=1", "--num_train_timesteps=100"};
    all.insert(all.end(), flags.begin(), flags.end());
    ChildProcess run(Command(out, all));
    EXPECT_EQ(run.Wait(), 0) << run.output();
    EXPECT_EQ(run.output().find("warning: L_T is 0.") != std::string::npos, warns) << run.output();
    const auto checkpoint = Checkpoint::Open(directory_ / out / "checkpoint");
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return checkpoint.ok() ? checkpoint->config().scheduler : SchedulerConfig();
  };
  const SchedulerConfig scaled = scheduler("scaled", {}, false);
  EXPECT_NEAR(scaled.beta_start, 0.001, 1e-12);
  EXPECT_NEAR(scaled.beta_end, 0.2, 1e-12);
  // A hundred of the paper's betas leave an alpha_bar of 0.36.
  const SchedulerConfig given =
      scheduler("given", {"--beta_start=0.0001", "--beta_end=0.02"}, true);
  EXPECT_EQ(given.beta_start, 0.0001);
  EXPECT_EQ(given.beta_end, 0.02);
  EXPECT_TRUE(
      scheduler("zero",
                {"--beta_end=0.02", "--rescale_betas_zero_snr", "--prediction_type=v_prediction"},
                false)
          .rescale_betas_zero_snr);
}

TEST_F(DiffusionTrainOptionsTest, OneFileIsSaidToBeWhatIsMeasuredOnToo) {
  const std::string file = (directory_ / "data" / "train-images-idx3-ubyte").string();
  ChildProcess run(Command("one", {"--data=" + file, "--steps=1"}));
  ASSERT_EQ(run.Wait(), 0) << run.output();
  EXPECT_NE(run.output().find("warning: " + file + ": one file is both"), std::string::npos)
      << run.output();
  EXPECT_NE(run.output().find("; 2 classes; cpu"), std::string::npos) << run.output();
}

TEST_F(DiffusionTrainOptionsTest, LeavesLabelsOutWhereItIsTold) {
  ChildProcess plain(Command("plain", {"--unconditional", "--steps=2"}));
  ASSERT_EQ(plain.Wait(), 0) << plain.output();
  const auto checkpoint = Checkpoint::Open(directory_ / "plain" / "checkpoint");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_FALSE(checkpoint->config().unet.num_class_embeds.has_value());
  EXPECT_TRUE(checkpoint->config().class_names.empty());
}

TEST_F(DiffusionTrainOptionsTest, MoreDataThanAllowedIsRefusedWithTheFlagsThatHelp) {
  const std::string gib = "--max_data_gib=0.000002";  // 2147 bytes: 33 images of 8 x 8.
  ChildProcess more(Command("out", {gib}));
  EXPECT_NE(more.Wait(), 0);
  for (const char* part : {"40 images", "limit of 2e-06 GiB", "--max_data_gib allows more"}) {
    EXPECT_NE(more.output().find(part), std::string::npos) << more.output();
  }
  EXPECT_EQ(more.output().find("--max_images"), std::string::npos) << "idx is judged as a whole";
}

TEST_F(DiffusionTrainOptionsTest, ATestSplitThatDoesNotFitIsRefusedNotLeftOut) {
  fs::remove(directory_ / "data" / "t10k-labels-idx1-ubyte");
  ChildProcess missing(Command("out"));
  EXPECT_NE(missing.Wait(), 0);
  EXPECT_NE(missing.output().find("t10k-images-idx3-ubyte"), std::string::npos) << missing.output();
  // Of the two classes of train-*, or a part of them.
  WriteIdxSplit(directory_ / "data", "t10k", {.images = 10, .side = 8, .classes = 3});
  ChildProcess third(Command("out"));
  EXPECT_EQ(third.Wait(), 2);
  EXPECT_NE(third.output().find("t10k-labels-idx1-ubyte"), std::string::npos) << third.output();
  fs::remove(directory_ / "data" / "t10k-labels-idx1-ubyte");
  fs::remove(directory_ / "data" / "t10k-images-idx3-ubyte");
  ChildProcess none(Command("out", {"--steps=1"}));
  EXPECT_EQ(none.Wait(), 0) << none.output();
  EXPECT_NE(none.output().find("38 training images, 2 held out"), std::string::npos)
      << none.output();
}

TEST_F(DiffusionTrainOptionsTest, RefusesAClassifierThatDoesNotFitTheModel) {
  ChildProcess model(Command("model", {"--steps=1"}));
  ASSERT_EQ(model.Wait(), 0) << model.output();
  WriteIdxSplit(directory_ / "data", "train", {.images = 40, .side = 8, .classes = 3});
  WriteIdxSplit(directory_ / "data", "t10k", {.images = 10, .side = 8, .classes = 3});
  ChildProcess three(
      Command("three", {"--classifier_for=" + (directory_ / "model" / "checkpoint").string()}));
  EXPECT_EQ(three.Wait(), 2);
  EXPECT_NE(three.output().find("--data has 3 classes, the model of --classifier_for 2: "),
            std::string::npos)
      << three.output();
  WriteIdxSplit(directory_ / "data", "train", {.images = 40, .side = 16, .classes = 2});
  WriteIdxSplit(directory_ / "data", "t10k", {.images = 10, .side = 16, .classes = 2});
  ChildProcess large(
      Command("large", {"--classifier_for=" + (directory_ / "model" / "checkpoint").string()}));
  EXPECT_EQ(large.Wait(), 2);
  EXPECT_NE(large.output().find(
                "--data has images of 16 x 16 x 1, the model of --classifier_for draws 8 x 8 x 1"),
            std::string::npos)
      << large.output();
  ChildProcess nowhere(Command("nowhere", {"--classifier_for=" + directory_.string()}));
  EXPECT_NE(nowhere.Wait(), 0);
  EXPECT_NE(nowhere.output().find("not a checkpoint"), std::string::npos) << nowhere.output();
}

// By folders the classes are in the order of the alphabet, by the table in the model's.
TEST_F(DiffusionTrainOptionsTest, AClassifiersClassesAreNumberedAsItsModels) {
  const fs::path pets = directory_ / "pets";
  std::string rows = "file,label,class\n";
  for (int i = 0; i < 20; ++i) {
    const bool cat = i % 2 == 0;
    const Image image{.width = 8,
                      .height = 8,
                      .channels = 1,
                      .pixels = std::vector<uint8_t>(64, static_cast<uint8_t>(i * 9))};
    const std::string name = absl::StrCat(cat ? "cat/" : "ant/", i, ".png");
    fs::create_directories((pets / name).parent_path());
    std::ofstream(pets / name, std::ios::binary) << EncodePng(image).value();
    absl::StrAppend(&rows, name, cat ? ",0,cat\n" : ",1,ant\n");
  }
  std::ofstream(directory_ / "pets.csv") << rows;
  const std::string data = "--data=" + pets.string();
  const std::string table = "--labels_csv=" + (directory_ / "pets.csv").string();
  const std::string of_model = "--classifier_for=" + (directory_ / "model" / "checkpoint").string();
  const std::vector<std::string> short_run = {data, "--steps=2", "--report=false"};
  const auto digest = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> flags = short_run;
    flags.insert(flags.end(), more.begin(), more.end());
    ChildProcess run(Command(out, flags));
    EXPECT_EQ(run.Wait(), 0) << run.output();
    const auto checkpoint = Checkpoint::Open(directory_ / out / "checkpoint");
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return checkpoint.ok() ? checkpoint->digest() : "";
  };
  digest("model", {table});
  EXPECT_EQ(digest("by_folders", {of_model}), digest("by_table", {table, of_model}));

  fs::rename(pets / "ant", pets / "dog");
  ChildProcess dogs(Command("dogs", {data, of_model, "--steps=2"}));
  EXPECT_EQ(dogs.Wait(), 2);
  EXPECT_NE(dogs.output().find("--data has a class 'dog', expected one of the model's 2"),
            std::string::npos)
      << dogs.output();
}

}  // namespace
}  // namespace diffusiond
