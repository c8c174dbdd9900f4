// diffusion-train as a process: stopped, killed, resumed, and given bad data.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/sampler.h"
#include "tests/testing/child_process.h"
#include "tests/testing/free_port.h"
#include "tests/testing/idx_files.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

class DiffusionTrainTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(testing::TempDir()) /
                 (std::string("diffusion_train_") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_ / "data");
    WriteIdxSplit(directory_ / "data", "train", {.images = 40, .side = 8, .classes = 2});
    WriteIdxSplit(directory_ / "data", "t10k", {.images = 10, .side = 8, .classes = 2});
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::vector<std::string> Command(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> command = {DIFFUSION_TRAIN_PATH,
                                        "--data=" + (directory_ / "data").string(),
                                        "--out=" + (directory_ / out).string(),
                                        "--channels=8,16",
                                        "--attention_at=4",
                                        "--attention_head_dim=8",
                                        "--norm_num_groups=4",
                                        "--dropout=0.1",
                                        "--flip",
                                        "--steps=24",
                                        "--batch_size=8",
                                        "--warmup_steps=4",
                                        "--learning_rate=1e-3",
                                        "--log_every=1",
                                        "--eval_every=6",
                                        "--sample_every=1000",
                                        "--sampler_steps=2",
                                        "--save_every=5",
                                        "--num_train_timesteps=50",
                                        "--threads=1"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }

  std::string StateBytes(const std::string& out) {
    std::ifstream file(directory_ / out / "states" / "step-000000024.safetensors",
                       std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  void ExpectSameWeightsAfterAKill(std::vector<std::string> more) {
    ChildProcess whole(Command("whole", more));
    ASSERT_EQ(whole.Wait(), 0) << whole.output();

    ChildProcess killed(Command("killed", more));
    ASSERT_TRUE(killed.ReadUntil("step 13/24")) << killed.output();
    killed.Signal(SIGKILL);
    ASSERT_EQ(killed.Wait(), -SIGKILL);
    more.push_back("--resume");
    ChildProcess resumed(Command("killed", more));
    ASSERT_EQ(resumed.Wait(), 0) << resumed.output();
    EXPECT_NE(resumed.output().find("from step 1"), std::string::npos) << resumed.output();

    const std::string expected = StateBytes("whole");
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(StateBytes("killed"), expected);
    auto a = Checkpoint::Open(directory_ / "whole" / "checkpoint");
    auto b = Checkpoint::Open(directory_ / "killed" / "checkpoint");
    ASSERT_TRUE(a.ok()) << a.status();
    ASSERT_TRUE(b.ok()) << b.status();
    EXPECT_EQ(a->digest(), b->digest());
  }

  fs::path directory_;
};

TEST_F(DiffusionTrainTest, KilledAndResumedRunEndsWithTheSameWeights) {
  ExpectSameWeightsAfterAKill({});
}

TEST_F(DiffusionTrainTest, WhatTimestepsAreDrawnByIsResumedToo) {
  ExpectSameWeightsAfterAKill(
      {"--timestep_sampling=importance", "--num_train_timesteps=3", "--loss_weight=bound"});
}

TEST_F(DiffusionTrainTest, ALearnedScheduleIsResumedAndServed) {
  ExpectSameWeightsAfterAKill({"--learn_schedule", "--loss_weight=vdm", "--num_train_timesteps=9"});
  const auto checkpoint = Checkpoint::Open(directory_ / "killed" / "checkpoint");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const SchedulerConfig& scheduler = checkpoint->config().scheduler;
  EXPECT_EQ(scheduler.trained_betas.size(), 9u);
  const auto schedule = MakeModelSchedule(scheduler);
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_FALSE(Samplers().empty());
  for (const Sampler& sampler : Samplers()) {
    SamplingOptions options = ForSampler(sampler.name, DefaultSamplingOptions(scheduler));
    options.steps = 4;
    options.langevin_steps = 100;
    const auto plan = CompilePlan(*schedule, options);
    EXPECT_TRUE(plan.ok()) << sampler.name << ": " << plan.status();
  }
}

TEST_F(DiffusionTrainTest, AFinishedRunHasItsReport) {
  ChildProcess run(Command("run", {"--sample_every=12", "--report_images=2"}));
  ASSERT_EQ(run.Wait(), 0) << run.output();
  EXPECT_NE(run.output().find("of the steps' time; peak memory "), std::string::npos)
      << run.output();
  EXPECT_EQ(run.output().find("warning"), std::string::npos) << run.output();
  std::ifstream file(directory_ / "run" / "report.html");
  const std::string html(std::istreambuf_iterator<char>(file), {});
  for (const char* part : {"--sampler_steps=2", "<h2>Loss</h2>", "<h2>Bits per dimension</h2>",
                           "<h2>Samples over time</h2>", "nearest training images</h2>"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  ChildProcess none(Command("none", {"--steps=1", "--report=false"}));
  ASSERT_EQ(none.Wait(), 0) << none.output();
  EXPECT_FALSE(fs::exists(directory_ / "none" / "report.html"));
}

TEST_F(DiffusionTrainTest, AModelOfEdmIsTrainedAndHasASamplerOfItsOwn) {
  ChildProcess process(Command("edm", {"--edm", "--sampler=", "--sample_every=24"}));
  ASSERT_EQ(process.Wait(), 0) << process.output();
  const auto checkpoint = Checkpoint::Open(directory_ / "edm" / "checkpoint");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->config().scheduler.class_name, "EDMEulerScheduler");
  EXPECT_EQ(checkpoint->config().generation->sampler(), "euler");
  EXPECT_TRUE(fs::exists(directory_ / "edm" / "samples" / "step-0000024.png"));
}

TEST_F(DiffusionTrainTest, TerminationSavesTheStepItStoppedAt) {
  for (int signal : {SIGTERM, SIGINT}) {
    const std::string out = "stopped" + std::to_string(signal);
    ChildProcess stopped(Command(out, {"--save_every=0"}));
    ASSERT_TRUE(stopped.ReadUntil("step 3/24")) << stopped.output();
    stopped.Signal(signal);
    ASSERT_EQ(stopped.Wait(), 0) << stopped.output();
    EXPECT_NE(stopped.output().find("stopped at step"), std::string::npos) << stopped.output();
    ChildProcess resumed(Command(out, {"--resume", "--save_every=0"}));
    ASSERT_EQ(resumed.Wait(), 0) << resumed.output();
    EXPECT_EQ(resumed.output().find("from step 0"), std::string::npos) << resumed.output();
  }
}

TEST_F(DiffusionTrainTest, AFinishedRunIsPublishedOnceAndAStoppedOneNot) {
  const fs::path repository = directory_ / "models";
  const std::vector<std::string> flags = {"--publish_to=" + repository.string(), "--resume"};
  ChildProcess stopped(Command("mine", {flags[0]}));
  ASSERT_TRUE(stopped.ReadUntil("step 3/24")) << stopped.output();
  stopped.Signal(SIGTERM);
  ASSERT_EQ(stopped.Wait(), 0) << stopped.output();
  EXPECT_FALSE(fs::exists(repository));
  for (const char* says : {"\npublished as ", "\nalready published as "}) {
    ChildProcess finished(Command("mine", flags));
    ASSERT_EQ(finished.Wait(), 0) << finished.output();
    EXPECT_NE(finished.output().find(says), std::string::npos) << finished.output();
  }
  const auto trained = Checkpoint::Open(directory_ / "mine" / "checkpoint");
  const auto published = Checkpoint::Open(repository / "mine" / "1");
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->digest(), trained->digest());
  EXPECT_FALSE(fs::exists(repository / "mine" / "2"));
}

// A launcher's variables in front of a command.
std::vector<std::string> AsWorker(std::vector<std::string> command, int rank, int port) {
  command.insert(command.begin(), {"/usr/bin/env", "WORLD_SIZE=2", "RANK=" + std::to_string(rank),
                                   "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + std::to_string(port),
                                   "GLOO_SOCKET_IFNAME=lo"});
  return command;
}

TEST_F(DiffusionTrainTest, ProcessesThatALauncherStartedTrainAndStopTogether) {
  const std::vector<std::string> command = Command("run", {"--resume", "--save_every=0"});
  const int port = FreePort();
  ChildProcess zero(AsWorker(command, 0, port)), one(AsWorker(command, 1, port));
  ASSERT_TRUE(zero.ReadUntil("step 3/24")) << zero.output();
  one.Signal(SIGTERM);
  EXPECT_EQ(zero.Wait(), 0) << zero.output();
  EXPECT_EQ(one.Wait(), 0) << one.output();
  EXPECT_NE(zero.output().find("2 processes; from step 0"), std::string::npos) << zero.output();
  EXPECT_NE(zero.output().find("stopped at step"), std::string::npos) << zero.output();
  EXPECT_EQ(one.output(), "");

  const int again = FreePort();
  ChildProcess zero_again(AsWorker(command, 0, again)), one_again(AsWorker(command, 1, again));
  EXPECT_EQ(zero_again.Wait(), 0) << zero_again.output();
  EXPECT_EQ(one_again.Wait(), 0) << one_again.output();
  EXPECT_NE(zero_again.output().find("done at step 24"), std::string::npos) << zero_again.output();
}

TEST_F(DiffusionTrainTest, TorchrunStartsIt) {
  const std::string torchrun = "/usr/bin/torchrun";
  if (!fs::exists(torchrun)) GTEST_SKIP() << torchrun << " is not there";
  std::vector<std::string> command = Command("run", {"--resume"});
  // Debian 12's torchrun needs redirections that are not 0, which is its default.
  command.insert(command.begin(), {torchrun, "--no_python", "--nproc_per_node=2", "--master_port",
                                   std::to_string(FreePort()), "--redirects=1", "--tee=1",
                                   "--log_dir=" + (directory_ / "torchrun").string()});
  ChildProcess run(command);
  EXPECT_EQ(run.Wait(), 0) << run.output();
  EXPECT_NE(run.output().find("done at step 24"), std::string::npos) << run.output();
}

TEST_F(DiffusionTrainTest, FileSizeLimitIsAnErrorNotADeath) {
  std::vector<std::string> command = Command("limited", {"--steps=2"});
  command.insert(command.begin(), {"/bin/sh", "-c", "ulimit -f 8; exec \"$0\" \"$@\""});
  ChildProcess limited(command);
  EXPECT_EQ(limited.Wait(), 1) << limited.output();
  EXPECT_NE(limited.output().find("File too large"), std::string::npos) << limited.output();
  ChildProcess resumed(Command("limited", {"--steps=2", "--resume"}));
  EXPECT_EQ(resumed.Wait(), 0) << resumed.output();
}

TEST_F(DiffusionTrainTest, ResumingAnotherRunIsRefused) {
  ChildProcess first(Command("run", {"--steps=2"}));
  ASSERT_EQ(first.Wait(), 0) << first.output();
  ChildProcess again(Command("run", {"--steps=2"}));
  EXPECT_NE(again.Wait(), 0);
  EXPECT_NE(again.output().find("--resume"), std::string::npos) << again.output();
  ChildProcess other(Command("run", {"--steps=2", "--resume", "--learning_rate=2e-3"}));
  EXPECT_NE(other.Wait(), 0);
  EXPECT_NE(other.output().find("another run"), std::string::npos) << other.output();
}

TEST_F(DiffusionTrainTest, WrongDataIsRefusedWithTheFilesName) {
  fs::resize_file(directory_ / "data" / "train-images-idx3-ubyte", 1000);
  ChildProcess truncated(Command("out"));
  EXPECT_NE(truncated.Wait(), 0);
  EXPECT_NE(truncated.output().find("train-images-idx3-ubyte"), std::string::npos)
      << truncated.output();
  EXPECT_FALSE(fs::exists(directory_ / "out"));
}

TEST_F(DiffusionTrainTest, OptionsThatCannotWorkAreNamed) {
  struct Wrong {
    std::string flag, expected;  // Several flags, with blanks between them.
  };
  for (const Wrong& wrong :
       {Wrong{"--channels=8,15", "norm_num_groups"},
        {"--channels=8,x", "--channels"},
        {"--attention_at=5", "--attention_at has 5; the levels' heights are"},
        {"--attention_at=4,auto", "--attention_at has \"auto\""},
        {"--sampler_spacing=", "--sampler_spacing: \"\" is not one of leading"},
        {"--rescale_betas_zero_snr", "with prediction_type epsilon it must be false"},
        {"--beta_end=0.1 --beta_schedule=squaredcos_cap_v2", "--beta_end is given"},
        {"--beta_start=0.1 --edm", "--beta_start is given; a model of EDM has none"},
        {"--beta_end=2", "beta_end is 2, expected 0 to 1"},
        {"--beta_start=0.5 --beta_end=0.1", "beta_start is 0.5"},
        {"--sampler_spacing=even", "--sampler_spacing: \"even\" is not one of leading"},
        {"--channels=8,16,16,16,16", "sample_size"},
        {"--prediction_type=noise", "prediction_type"},
        {"--beta_schedule=square", "beta_schedule"},
        {"--loss_weight=p2", "loss_weight"},
        {"--min_snr_gamma=-1", "min_snr_gamma is -1"},
        {"--timestep_sampling=sobol", "timestep_sampling"},
        {"--variance_type=wide", "variance_type"},
        {"--variance_type=learned", "learned_range"},
        {"--vlb_weight=-1", "vlb_weight is -1"},
        {"--learn_schedule", "loss_weight is unit"},
        {"--edm_deviation=0", "edm_deviation is 0"},
        {"--label_dropout=0 --guidance_scale=2", "guidance_scale is 2"},
        {"--unconditional --guidance_scale=2", "guidance_scale is 2"},
        {"--edm --variance_type=learned_range", "for a model of EDM it must be fixed_small"},
        {"--steps=0", "steps is "},
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

TEST_F(DiffusionTrainTest, SamplerSpacingIsOfTheSheetsAndTheServedModel) {
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

TEST_F(DiffusionTrainTest, BetasAreOfTheNumberOfTimestepsUnlessTheyAreGiven) {
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

TEST_F(DiffusionTrainTest, LeavesLabelsOutWhereItIsTold) {
  ChildProcess plain(Command("plain", {"--unconditional", "--steps=2"}));
  ASSERT_EQ(plain.Wait(), 0) << plain.output();
  const auto checkpoint = Checkpoint::Open(directory_ / "plain" / "checkpoint");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_FALSE(checkpoint->config().unet.num_class_embeds.has_value());
  EXPECT_TRUE(checkpoint->config().class_names.empty());
}

TEST_F(DiffusionTrainTest, MoreDataThanAllowedIsRefusedWithTheFlagsThatHelp) {
  const std::string gib = "--max_data_gib=0.000002";  // 2147 bytes: 33 images of 8 x 8.
  ChildProcess more(Command("out", {gib}));
  EXPECT_NE(more.Wait(), 0);
  for (const char* part : {"40 images", "limit of 2147 bytes", "--max_data_gib", "--max_images"}) {
    EXPECT_NE(more.output().find(part), std::string::npos) << more.output();
  }
}

TEST_F(DiffusionTrainTest, ATestSplitThatDoesNotFitIsRefusedNotLeftOut) {
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

TEST_F(DiffusionTrainTest, TrainsAClassifierForAFinishedModel) {
  ChildProcess model(Command("model"));
  ASSERT_EQ(model.Wait(), 0) << model.output();
  const fs::path of_model = directory_ / "model" / "checkpoint";
  const std::vector<std::string> more = {"--classifier_for=" + of_model.string(),
                                         "--guidance_scale=2"};
  ChildProcess stopped(Command("classifier", more));
  ASSERT_TRUE(stopped.ReadUntil("step 13/24")) << stopped.output();
  stopped.Signal(SIGKILL);
  ASSERT_EQ(stopped.Wait(), -SIGKILL);
  std::vector<std::string> resume = more;
  resume.push_back("--resume");
  ChildProcess resumed(Command("classifier", resume));
  ASSERT_EQ(resumed.Wait(), 0) << resumed.output();

  const auto base = Checkpoint::Open(of_model);
  const auto with = Checkpoint::Open(directory_ / "classifier" / "checkpoint");
  ASSERT_TRUE(base.ok()) << base.status();
  ASSERT_TRUE(with.ok()) << with.status();
  CheckpointConfig expected = base->config();
  ASSERT_TRUE(with->config().classifier.has_value());
  EXPECT_EQ(with->config().classifier->out_channels, 2);
  expected.classifier = with->config().classifier;
  EXPECT_EQ(with->config(), expected) << "all else is the model's";
  const auto& weight = [](const Checkpoint& checkpoint) {
    return checkpoint.tensors().at("conv_in.weight").data;
  };
  EXPECT_TRUE(std::ranges::equal(weight(*with), weight(*base)));

  // Of another model the state is not.
  ChildProcess other(Command("classifier", {"--resume"}));
  EXPECT_NE(other.Wait(), 0) << other.output();
}

TEST_F(DiffusionTrainTest, RefusesAClassifierThatDoesNotFitTheModel) {
  ChildProcess model(Command("model", {"--steps=1"}));
  ASSERT_EQ(model.Wait(), 0) << model.output();
  WriteIdxSplit(directory_ / "data", "train", {.images = 40, .side = 8, .classes = 3});
  WriteIdxSplit(directory_ / "data", "t10k", {.images = 10, .side = 8, .classes = 3});
  ChildProcess three(
      Command("three", {"--classifier_for=" + (directory_ / "model" / "checkpoint").string()}));
  EXPECT_EQ(three.Wait(), 2);
  EXPECT_NE(three.output().find("classifier: out_channels is 3; for this model it must be 2"),
            std::string::npos)
      << three.output();
  ChildProcess nowhere(Command("nowhere", {"--classifier_for=" + directory_.string()}));
  EXPECT_NE(nowhere.Wait(), 0);
  EXPECT_NE(nowhere.output().find("not a checkpoint"), std::string::npos) << nowhere.output();
}

}  // namespace
}  // namespace diffusiond
