// Runs of diffusion-train, as a process, on a few small images.
#ifndef DIFFUSIOND_TESTS_MODEL_PROGRAMS_DIFFUSION_TRAIN_RUNS_H_
#define DIFFUSIOND_TESTS_MODEL_PROGRAMS_DIFFUSION_TRAIN_RUNS_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/testing/idx_files.h"

namespace diffusiond {

class DiffusionTrainRuns : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) /
                 (std::string("diffusion_train_") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_ / "data");
    WriteIdxSplit(directory_ / "data", "train", {.images = 40, .side = 8, .classes = 2});
    WriteIdxSplit(directory_ / "data", "t10k", {.images = 10, .side = 8, .classes = 2});
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

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
                                        "--warmup_steps=2",
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

  std::filesystem::path directory_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_PROGRAMS_DIFFUSION_TRAIN_RUNS_H_
