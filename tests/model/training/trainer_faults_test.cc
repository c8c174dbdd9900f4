// What a training run survives: kills, disks, damaged files, losses that are no numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>
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
#include <random>
#include <string>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/safetensors.h"
#include "model/training/trainer.h"
#include "tests/testing/faulty_disk.h"
#include "tests/testing/in_child.h"
#include "tests/testing/tiny_training.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

std::string Bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Calls a function at each step; the trainer must log every step.
class AtEachStep : public ProgressSink {
 public:
  explicit AtEachStep(std::function<void(int64_t)> call) : call_(std::move(call)) {}
  void OnPoint(const ProgressPoint& point) override { call_(point.step); }

 private:
  std::function<void(int64_t)> call_;
};

// The kernel kills this process when it has computed for so long.
void KillAfterComputing(absl::Duration duration) {
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer;
  if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0) _exit(99);
  itimerspec when = {};
  when.it_value = absl::ToTimespec(duration);
  timer_settime(timer, 0, &when, nullptr);
}

class TrainerFaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);  // Also: no threads that a forked child would miss.
    directory_ = fs::path(testing::TempDir()) /
                 (std::string("trainer_faults_") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override {
    FailWrites(0);
    fs::remove_all(directory_);
  }

  TrainerOptions Options(const std::string& out) const { return TinyOptions(directory_ / out); }

  absl::StatusOr<std::unique_ptr<Trainer>> Create(const TrainerOptions& options, bool resume) {
    TrainerParts parts;
    parts.train = &data_;
    parts.held_out = &no_data_;
    parts.warn = [this](absl::string_view text) { warnings_ += std::string(text) + "\n"; };
    parts.loss_hook = loss_hook_;
    if (sink_ != nullptr) parts.sinks.push_back(sink_.get());
    return Trainer::Create(options, parts, resume);
  }

  absl::Status Train(const TrainerOptions& options, bool resume = false) {
    absl::StatusOr<std::unique_ptr<Trainer>> trainer = Create(options, resume);
    if (!trainer.ok()) return trainer.status();
    from_step_ = (*trainer)->step();
    const std::atomic<bool> never = false;
    return (*trainer)->Run(never);
  }

  static fs::path StatePath(const TrainerOptions& options, int64_t step) {
    std::string number = std::to_string(step);
    number.insert(0, 9 - number.size(), '0');
    return options.out / "states" / ("step-" + number + ".safetensors");
  }

  static std::vector<std::string> StateNames(const TrainerOptions& options) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(options.out / "states")) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // The weights and everything else at the end of a run that nothing disturbs.
  std::string UndisturbedEnd(TrainerOptions options) {
    options.out = directory_ / "undisturbed";
    const absl::Status status = Train(options);
    EXPECT_TRUE(status.ok()) << status;
    return Bytes(StatePath(options, options.steps));
  }

  const ImageDataset data_ = TinyImages(20);
  const ImageDataset no_data_;
  std::string warnings_;
  int64_t from_step_ = -1;
  std::unique_ptr<ProgressSink> sink_;
  TrainingStep::LossHook loss_hook_;
  fs::path directory_;
};

TEST_F(TrainerFaultsTest, FiftyKillsLoseOnlyTheStepsSinceTheLastSave) {
  TrainerOptions options = Options("killed");
  options.steps = 150;
  options.save_every = 2;
  // As long a life as three saves need, counted in what the kill is timed by.
  int64_t operations = 0;
  {
    TrainerOptions short_run = options;
    short_run.out = directory_ / "short";
    short_run.steps = 6;
    const int64_t before = DiskOperations();
    ASSERT_TRUE(Train(short_run).ok());
    operations = DiskOperations() - before;
  }
  const std::string expected = UndisturbedEnd(options);

  std::mt19937 random(50);
  int kills = 0, finished = 1;
  int64_t saved = 0;
  while (kills < 50) {
    const bool while_writing = kills % 2 == 0;
    const int64_t operation = std::uniform_int_distribution<int64_t>(1, operations)(random);
    const int64_t microseconds = std::uniform_int_distribution<int64_t>(1000, 60000)(random);
    finished = InChild([&] {
      if (while_writing) KillAtDiskOperation(operation);
      if (!while_writing) KillAfterComputing(absl::Microseconds(microseconds));
      const absl::Status status = Train(options, /*resume=*/true);
      // It must go on from the newest state: no file was half written.
      return status.ok() && warnings_.empty() && from_step_ >= saved ? 0 : 1;
    });
    if (finished != -SIGKILL) break;
    ++kills;
    auto run = RunDirectory::Open(options.out);
    ASSERT_TRUE(run.ok()) << run.status();
    const auto states = (*run)->States();
    ASSERT_TRUE(states.ok()) << states.status();
    if (states->empty()) continue;
    EXPECT_GE(states->front().step, saved);
    saved = states->front().step;
    auto checkpoint = Checkpoint::Open(options.out / "checkpoint");
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  }
  ASSERT_EQ(kills, 50) << "the run ended with " << finished;
  EXPECT_GT(saved, 0);
  ASSERT_TRUE(Train(options, /*resume=*/true).ok());
  EXPECT_EQ(warnings_, "");
  EXPECT_EQ(Bytes(StatePath(options, options.steps)), expected);
  EXPECT_EQ(Bytes(options.out / "checkpoint/unet/diffusion_pytorch_model.safetensors"),
            Bytes(directory_ / "undisturbed/checkpoint/unet/diffusion_pytorch_model.safetensors"));
  // Nothing half written is left, in the directory or below.
  for (const auto& entry : fs::recursive_directory_iterator(options.out)) {
    EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos) << entry.path();
  }
}

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

TEST_F(TrainerFaultsTest, ReadOnlyDirectoryIsRefusedAtOnceAndSurvivedLater) {
  TrainerOptions options = Options("run");
  options.save_every = 2;
  options.log_every = 1;
  const std::string expected = UndisturbedEnd(options);
  // Root may write everywhere; nobody may not.
  const bool root = geteuid() == 0;
  const uid_t nobody = 65534;
  const fs::path states = options.out / "states";
  fs::create_directories(states);
  if (root) {
    for (const fs::path& path : {options.out, states}) {
      ASSERT_EQ(chown(path.c_str(), nobody, nobody), 0);
    }
  }
  ASSERT_EQ(InChild([&] {
              if (root && setuid(nobody) != 0) return 1;
              fs::permissions(options.out, fs::perms(0555));
              const auto refused = Create(options, false);
              if (refused.status().code() != absl::StatusCode::kPermissionDenied) return 2;
              fs::permissions(options.out, fs::perms(0755));
              sink_ = std::make_unique<AtEachStep>([&](int64_t step) {
                if (step == 5) fs::permissions(states, fs::perms(0555));
                if (step == 9) fs::permissions(states, fs::perms(0755));
              });
              if (!Train(options).ok()) return 3;
              return warnings_.find("not saved at step 8") == std::string::npos ? 4 : 0;
            }),
            0);
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
              testing::EndsWith("for the training images " + std::to_string(batch.indices[2])));
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
