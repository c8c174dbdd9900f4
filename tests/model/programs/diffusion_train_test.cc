// diffusion-train as a process: finished, stopped, killed and resumed, alone and with others.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/imaging/png.h"
#include "model/sampling/sampler.h"
#include "tests/model/programs/diffusion_train_runs.h"
#include "tests/testing/child_process.h"
#include "tests/testing/free_port.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

class DiffusionTrainTest : public DiffusionTrainRuns {
 protected:
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
};

TEST_F(DiffusionTrainTest, KilledAndResumedRunEndsWithTheSameWeights) {
  ExpectSameWeightsAfterAKill({});
}

TEST_F(DiffusionTrainTest, WhatTimestepsAreDrawnByIsResumedToo) {
  ExpectSameWeightsAfterAKill(
      {"--timestep_sampling=importance", "--num_train_timesteps=3", "--loss_weight=bound"});
}

// The later runs read what the first one kept of the photos.
TEST_F(DiffusionTrainTest, RandomCropsOfPhotosAreResumedToo) {
  for (int i = 0; i < 24; ++i) {
    const int width = 12 + i % 7, height = 9 + i % 5;
    Image photo{.width = width, .height = height, .channels = 3, .pixels = {}};
    for (int p = 0; p < width * height * 3; ++p) {
      photo.pixels.push_back(static_cast<uint8_t>(p * (i + 3) % 251));
    }
    const fs::path folder = directory_ / "photos" / (i % 2 == 0 ? "cats" : "dogs");
    fs::create_directories(folder);
    std::ofstream(folder / (std::to_string(i) + ".png"), std::ios::binary)
        << EncodePng(photo).value();
  }
  const fs::path cache = directory_ / "resized";
  ExpectSameWeightsAfterAKill({"--data=" + (directory_ / "photos").string(), "--resolution=8",
                               "--random_crop", "--image_cache=" + cache.string()});
  EXPECT_EQ(std::distance(fs::directory_iterator(cache), {}), 24);
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
  for (const char* says : {"Z INFO published as ", "Z INFO already published as "}) {
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

TEST_F(DiffusionTrainTest, UnderNohupAHangUpIsNothing) {
  std::vector<std::string> command = Command("run", {});
  command.insert(command.begin(), "/usr/bin/nohup");
  ChildProcess run(command);
  ASSERT_TRUE(run.ReadUntil("step 3/24")) << run.output();
  run.Signal(SIGHUP);
  EXPECT_EQ(run.Wait(), 0) << run.output();
  EXPECT_NE(run.output().find("done at step 24"), std::string::npos) << run.output();
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
  constexpr int kStopped = 75;  // A launcher shall start both again.
  EXPECT_EQ(zero.Wait(), kStopped) << zero.output();
  EXPECT_EQ(one.Wait(), kStopped) << one.output();
  EXPECT_NE(zero.output().find("2 processes; from step 0"), std::string::npos) << zero.output();
  EXPECT_NE(zero.output().find("stopped at step"), std::string::npos) << zero.output();
  EXPECT_EQ(one.output(),
            "diffusion-train: stopped before the last step; all processes with --resume go on\n");

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

}  // namespace
}  // namespace diffusiond
