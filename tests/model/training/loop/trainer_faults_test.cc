// What a training run survives: disks, damaged files, losses that are no numbers.
// trainer_processes_test.cc has what needs a process to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/safetensors.h"
#include "model/training/loop/trainer.h"
#include "tests/model/training/loop/trainer_runs.h"
#include "tests/testing/faulty_disk.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

using TrainerFaultsTest = TrainerRuns;

TEST_F(TrainerFaultsTest, KeepsTheNewestStates) {
  TrainerOptions options = Options("run");
  options.save_every = 2;
  options.keep_checkpoints = 2;
  ASSERT_TRUE(Train(options).ok());
  EXPECT_THAT(StateNames(options),
              ElementsAre("step-000000010.safetensors", "step-000000012.safetensors"));
}

TEST_F(TrainerFaultsTest, FullDiskIsWarnedOfAndTrainingGoesOn) {
  TrainerOptions options = Options("run");
  options.save_every = 2;
  options.sample_every = 4;
  options.log_every = 1;
  const std::string expected = UndisturbedEnd(options);
  sink_ = std::make_unique<AtEachStep>([](int64_t step) {
    if (step == 5) FailWrites(ENOSPC);
    if (step == 9) FailWrites(0);
  });
  const absl::Status status = Train(options);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(warnings_, HasSubstr("not saved at step 6"));
  EXPECT_THAT(warnings_, HasSubstr("No space left"));
  EXPECT_THAT(warnings_, HasSubstr("the newest saved state is of step 4"));
  EXPECT_THAT(warnings_, HasSubstr("no sample sheet at step 8"));
  EXPECT_THAT(StateNames(options),
              ElementsAre("step-000000004.safetensors", "step-000000010.safetensors",
                          "step-000000012.safetensors"));
  EXPECT_EQ(Bytes(StatePath(options, 12)), expected);
}

TEST_F(TrainerFaultsTest, LastSaveOnAFullDiskIsAnErrorAndTheStateBeforeServes) {
  TrainerOptions options = Options("run");
  options.save_every = 5;
  options.log_every = 1;
  const std::string expected = UndisturbedEnd(options);
  sink_ = std::make_unique<AtEachStep>([](int64_t step) {
    if (step == 11) FailWrites(ENOSPC);
  });
  const absl::Status full = Train(options);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  FailWrites(0);
  sink_ = nullptr;
  ASSERT_TRUE(Train(options, /*resume=*/true).ok());
  EXPECT_EQ(from_step_, 10);
  EXPECT_EQ(Bytes(StatePath(options, 12)), expected);
}

TEST_F(TrainerFaultsTest, DamagedNewestStateFallsBackToTheOneBefore) {
  TrainerOptions options = Options("run");
  options.save_every = 5;
  const std::string expected = UndisturbedEnd(options);
  ASSERT_TRUE(Train(options).ok());
  fs::resize_file(StatePath(options, 12), 1000);
  std::string flipped = Bytes(StatePath(options, 10));
  flipped[flipped.size() - 100] ^= 1;
  std::ofstream(StatePath(options, 10), std::ios::binary) << flipped;

  ASSERT_TRUE(Train(options, /*resume=*/true).ok());
  EXPECT_EQ(from_step_, 5);
  EXPECT_THAT(warnings_, HasSubstr("step-000000012.safetensors"));
  EXPECT_THAT(warnings_, HasSubstr("step-000000010.safetensors: damaged: its SHA-256"));
  EXPECT_EQ(Bytes(StatePath(options, 12)), expected);
  EXPECT_TRUE(fs::exists(StatePath(options, 10).string() + ".damaged"));
}

TEST_F(TrainerFaultsTest, OnlyDamagedStatesAreNoBeginning) {
  TrainerOptions options = Options("run");
  ASSERT_TRUE(Train(options).ok());
  fs::resize_file(StatePath(options, 12), 0);
  const std::string checkpoint =
      Bytes(options.out / "checkpoint/unet/diffusion_pytorch_model.safetensors");
  for (const bool resume : {true, true, false}) {
    const absl::Status status = Train(options, resume);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("give another --out or"));
  }
  EXPECT_EQ(Bytes(options.out / "checkpoint/unet/diffusion_pytorch_model.safetensors"), checkpoint);
}

// As on NFS.
TEST_F(TrainerFaultsTest, SavesWhereNamesCannotBeExchanged) {
  TrainerOptions options = Options("run");
  options.save_every = 5;
  const std::string expected = UndisturbedEnd(options);
  RefuseExchange(EINVAL);
  const absl::Status status = Train(options);
  RefuseExchange(0);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(warnings_, "");
  EXPECT_EQ(Bytes(StatePath(options, 12)), expected);
  EXPECT_EQ(Bytes(options.out / "checkpoint/unet/diffusion_pytorch_model.safetensors"),
            Bytes(directory_ / "undisturbed/checkpoint/unet/diffusion_pytorch_model.safetensors"));
}

TEST_F(TrainerFaultsTest, ACheckpointThatCannotBeReplacedCostsNoState) {
  TrainerOptions options = Options("run");
  options.save_every = 5;
  const std::string expected = UndisturbedEnd(options);
  fs::create_directories(options.out / "checkpoint" / "mine");
  const absl::Status refused = Train(options);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_THAT(warnings_, HasSubstr("holds 'mine'"));
  EXPECT_THAT(warnings_, HasSubstr("the newest saved state is of step 5"));
  EXPECT_EQ(Bytes(StatePath(options, 12)), expected);

  fs::remove(options.out / "checkpoint" / "mine");
  const absl::Status resumed = Train(options, /*resume=*/true);
  ASSERT_TRUE(resumed.ok()) << resumed;
  EXPECT_EQ(from_step_, 12);
  EXPECT_EQ(Bytes(options.out / "checkpoint/unet/diffusion_pytorch_model.safetensors"),
            Bytes(directory_ / "undisturbed/checkpoint/unet/diffusion_pytorch_model.safetensors"));
}

TEST_F(TrainerFaultsTest, SecondProcessInTheSameDirectoryIsRefused) {
  const auto first = Create(Options("run"), false);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Create(Options("run"), true);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process"));
}

// Image `row` of the batch of each of `steps` (counted from 1) has no loss.
TrainingStep::LossHook NanAt(std::vector<int64_t> steps, int64_t row) {
  return [steps, row](int64_t step, const torch::Tensor& losses) {
    if (std::find(steps.begin(), steps.end(), step + 1) == steps.end()) return losses;
    torch::Tensor factors = torch::ones_like(losses);
    factors[row] = std::numeric_limits<float>::quiet_NaN();
    return losses * factors;
  };
}

TEST_F(TrainerFaultsTest, NanStopsTheRunAndNamesStepAndImages) {
  TrainerOptions options = Options("run");
  options.save_every = 5;
  loss_hook_ = NanAt({7}, 2);
  const absl::Status status = Train(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  BatchSource source(&data_, MakeBatchOptions(options));
  TrainingBatch batch;
  source.Fill(6, &batch);
  EXPECT_THAT(std::string(status.message()), HasSubstr("step 7: the loss is nan"));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("for the training images " + std::to_string(batch.indices[2]) +
                        "; --resume goes on from the last save"));
  EXPECT_THAT(StateNames(options), ElementsAre("step-000000005.safetensors"));
}

TEST_F(TrainerFaultsTest, SkippedStepChangesNothingAndTheRestGoesOn) {
  TrainerOptions options = Options("run");
  options.on_nan = OnNonFinite::kSkip;
  options.save_every = 1;
  options.keep_checkpoints = 12;
  loss_hook_ = NanAt({7, 9}, 0);
  const absl::Status status = Train(options);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(warnings_, HasSubstr("skipped step 7: the loss is nan"));
  const auto before = SafetensorsFile::Open(StatePath(options, 6));
  const auto skipped = SafetensorsFile::Open(StatePath(options, 7));
  const auto after = SafetensorsFile::Open(StatePath(options, 8));
  ASSERT_TRUE(before.ok() && skipped.ok() && after.ok());
  for (const auto& [name, view] : before->tensors()) {
    const auto same = [&, &name = name, &view = view](const SafetensorsFile& other) {
      const auto bytes = other.tensors().at(name).data;
      return std::equal(view.data.begin(), view.data.end(), bytes.begin(), bytes.end());
    };
    EXPECT_TRUE(same(*skipped)) << name;
    EXPECT_FALSE(same(*after)) << name;
  }
  EXPECT_EQ(skipped->metadata().at("skipped_steps"), "1");
}

TEST_F(TrainerFaultsTest, SkipsHaveALimitThatResumingDoesNotReset) {
  TrainerOptions options = Options("run");
  options.on_nan = OnNonFinite::kSkip;
  options.max_skipped_steps = 2;
  options.save_every = 1;
  loss_hook_ = NanAt({3, 5, 8}, 0);
  absl::Status status = Train(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max_skipped_steps"));
  status = Train(options, /*resume=*/true);
  EXPECT_EQ(from_step_, 7);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace diffusiond
