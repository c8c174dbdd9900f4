// Several processes that train one network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/training/distributed/worker_group.h"
#include "model/training/loop/trainer.h"
#include "tests/model/training/loop/trainer_runs.h"
#include "tests/testing/free_port.h"
#include "tests/testing/in_child.h"
#include "tests/testing/tiny_training.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

struct Job {
  TrainerOptions options;
  bool resume = false;
  absl::Duration timeout = absl::Minutes(2);
  std::function<void(int rank, int64_t step)> at_step;  // Rank 0's alone are called.
  TrainingStep::LossHook loss_hook;
  std::function<void(int rank, TrainerOptions*)> change;
};

class DistributedTrainingTest : public testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    directory_ = fs::path(testing::TempDir()) /
                 (std::string("distributed_training_") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    setenv("GLOO_SOCKET_IFNAME", "lo", 1);
  }
  void TearDown() override { fs::remove_all(directory_); }

  TrainerOptions Options(const std::string& out) const {
    TrainerOptions options = TinyOptions(directory_ / out);
    options.model.unet.dropout = 0;  // Each process draws its own.
    options.batch_size = 8;
    return options;
  }

  // 0, or a number that says what went wrong: the status code's, for the trainer's errors.
  int Work(const Job& job, int rank, int size, int port) const {
    WorkerEnvironment environment;
    environment.rank = rank;
    environment.size = size;
    environment.master_address = "127.0.0.1";
    environment.master_port = port;
    TrainerOptions options = job.options;
    if (job.change) job.change(rank, &options);
    absl::StatusOr<std::unique_ptr<WorkerGroup>> workers = nullptr;
    if (size > 1) workers = WorkerGroup::Join(environment, torch::kCPU, job.timeout);
    if (!workers.ok()) return 90;
    TrainerParts parts;
    parts.train = &data_;
    parts.held_out = &no_data_;
    parts.workers = workers->get();
    parts.loss_hook = job.loss_hook;
    AtEachStep sink([&](int64_t step) {
      if (job.at_step) job.at_step(rank, step);
    });
    parts.sinks.push_back(&sink);
    auto trainer = Trainer::Create(options, parts, job.resume);
    if (!trainer.ok()) {
      fprintf(stderr, "rank %d: %s\n", rank, trainer.status().ToString().c_str());
      return static_cast<int>(trainer.status().code());
    }
    const std::atomic<bool> never = false;
    const absl::Status status = (*trainer)->Run(never);
    if (!status.ok()) fprintf(stderr, "rank %d: %s\n", rank, status.ToString().c_str());
    if (absl::IsUnavailable(status)) _exit(static_cast<int>(status.code()));
    return static_cast<int>(status.code());
  }

  std::vector<pid_t> Start(const Job& job, int size) const {
    const int port = FreePort();
    std::vector<pid_t> children;
    for (int rank = 0; rank < size; ++rank) {
      children.push_back(StartChild([&] { return Work(job, rank, size, port); }));
    }
    return children;
  }

  std::vector<int> Run(const Job& job, int size) const {
    std::vector<int> codes;
    for (pid_t child : Start(job, size)) codes.push_back(WaitForChild(child));
    return codes;
  }

  static fs::path LastState(const TrainerOptions& options) {
    std::string number = std::to_string(options.steps);
    number.insert(0, 9 - number.size(), '0');
    return options.out / "states" / ("step-" + number + ".safetensors");
  }

  static torch::Tensor Parameters(const TrainerOptions& options, const std::string& name) {
    const auto file = SafetensorsFile::Open(LastState(options));
    if (!file.ok()) return {};
    const TensorView& view = file->tensors().at(name);
    return torch::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, torch::kFloat32)
        .clone();
  }

  const ImageDataset data_ = TinyImages(24);
  const ImageDataset no_data_;
  fs::path directory_;
};

const std::vector<int> kBothDone = {0, 0};

// Adam divides by the gradient's size, so where the exact gradient is zero (the bias of attention's
// keys, which no softmax sees) rounding alone moves a weight by as much as the learning rate. The
// moments, which are linear and quadratic in the gradients, show that these agree everywhere.
void ExpectSameTraining(const torch::Tensor& a, const torch::Tensor& b, double tolerance) {
  ASSERT_TRUE(a.defined() && b.defined());
  EXPECT_LT((a - b).abs().max().item<double>(), tolerance * a.abs().max().item<double>());
}

TEST_F(DistributedTrainingTest, TwoProcessesWithHalfBatchesGiveOneProcessesWeights) {
  Job one, two, pieces;
  one.options = Options("one");
  two.options = Options("two");
  pieces.options = Options("pieces");
  pieces.options.accumulate = 2;
  ASSERT_EQ(Run(one, 1), std::vector<int>{0});
  ASSERT_EQ(Run(two, 2), kBothDone);
  ASSERT_EQ(Run(pieces, 2), kBothDone);
  for (const Job* other : {&two, &pieces}) {
    for (const char* name : {"first_moment", "second_moment"}) {
      ExpectSameTraining(Parameters(one.options, name), Parameters(other->options, name), 2e-5);
    }
    const torch::Tensor a = Parameters(one.options, "parameters");
    const torch::Tensor b = Parameters(other->options, "parameters");
    const torch::Tensor differs = (a - b).abs() > 1e-5;
    EXPECT_LT(differs.sum().item<int64_t>(), 3 * 8) << "beyond the bias of the keys";
    EXPECT_LT((a - b).abs().max().item<double>(), 12 * 1e-3);
  }
}

TEST_F(DistributedTrainingTest, WhatAnObjectiveLearnsBesidesIsShared) {
  ObjectiveOptions schedule, importance;
  schedule.weight.kind = LossWeight::kVdm;
  schedule.learn_schedule = true;
  importance.weight.kind = LossWeight::kBound;
  importance.timestep_sampling = TimestepSampling::kImportance;
  for (const auto& [name, objective] :
       {std::pair<std::string, ObjectiveOptions>{"schedule", schedule},
        {"importance", importance}}) {
    Job one, two;
    one.options = Options(name + "-one");
    two.options = Options(name + "-two");
    for (Job* job : {&one, &two}) {
      job->options.objective = objective;
      job->options.model.scheduler.num_train_timesteps = 3;  // Histories are full in a few steps.
    }
    ASSERT_EQ(Run(one, 1), std::vector<int>{0});
    ASSERT_EQ(Run(two, 2), kBothDone);
    for (const char* moment : {"first_moment", "second_moment"}) {
      ExpectSameTraining(Parameters(one.options, moment), Parameters(two.options, moment), 1e-4);
    }
  }
}

TEST_F(DistributedTrainingTest, OnlyRankZeroWritesAndIsHeardOf) {
  Job job;
  job.options = Options("run");
  job.options.log_every = 1;
  job.options.sample_every = 6;
  job.at_step = [](int rank, int64_t) {
    if (rank != 0) _exit(91);
  };
  // Rank 1 has a directory of its own, and must not touch it.
  const fs::path other = directory_ / "other";
  job.change = [&other](int rank, TrainerOptions* options) {
    if (rank == 1) options->out = other;
  };
  ASSERT_EQ(Run(job, 2), kBothDone);
  EXPECT_FALSE(fs::exists(other));
  EXPECT_TRUE(fs::exists(job.options.out / "samples/step-0000006.png"));
}

TEST_F(DistributedTrainingTest, LostWorkerEndsTheJobAndARestartGoesOn) {
  Job whole, lost;
  whole.options = Options("whole");
  ASSERT_EQ(Run(whole, 2), kBothDone);

  lost.options = Options("lost");
  lost.options.log_every = 1;
  // Rank 1 dies in the middle of a step: after its loss, before its gradients.
  lost.loss_hook = [](int64_t step, const torch::Tensor& losses) {
    if (step == 6 && getenv("DIE_HERE") != nullptr) raise(SIGKILL);
    return losses;
  };
  const int port = FreePort();
  const pid_t zero = StartChild([&] { return Work(lost, 0, 2, port); });
  const pid_t one = StartChild([&] {
    setenv("DIE_HERE", "1", 1);
    return Work(lost, 1, 2, port);
  });
  EXPECT_EQ(WaitForChild(one), -SIGKILL);
  EXPECT_EQ(WaitForChild(zero), static_cast<int>(absl::StatusCode::kUnavailable));

  // What rank 0 had is saved: no step is done twice.
  EXPECT_TRUE(fs::exists(lost.options.out / "states/step-000000006.safetensors"));
  lost.resume = true;
  lost.loss_hook = nullptr;
  ASSERT_EQ(Run(lost, 2), kBothDone);
  EXPECT_EQ(Bytes(LastState(lost.options)), Bytes(LastState(whole.options)));
}

TEST_F(DistributedTrainingTest, SilentWorkerEndsTheJobAfterTheTimeout) {
  Job job;
  job.options = Options("run");
  job.timeout = absl::Seconds(2);
  const int port = FreePort();
  job.loss_hook = [](int64_t step, const torch::Tensor& losses) {
    if (step == 3 && getenv("STOP_HERE") != nullptr) raise(SIGSTOP);
    return losses;
  };
  const pid_t zero = StartChild([&] { return Work(job, 0, 2, port); });
  const pid_t one = StartChild([&] {
    setenv("STOP_HERE", "1", 1);
    return Work(job, 1, 2, port);
  });
  EXPECT_EQ(WaitForChild(zero), static_cast<int>(absl::StatusCode::kUnavailable));
  kill(one, SIGKILL);
  EXPECT_EQ(WaitForChild(one), -SIGKILL);
}

TEST_F(DistributedTrainingTest, MissingWorkerIsWaitedForNoLongerThanTheTimeout) {
  Job job;
  job.options = Options("run");
  job.timeout = absl::Seconds(1);
  EXPECT_EQ(InChild([&] { return Work(job, 0, 2, FreePort()); }), 90);
}

TEST_F(DistributedTrainingTest, NanInOneProcessIsSkippedByAll) {
  Job job;
  job.options = Options("run");
  job.options.on_nan = OnNonFinite::kSkip;
  job.options.max_skipped_steps = 1;
  job.loss_hook = [](int64_t step, const torch::Tensor& losses) {
    const bool here = step == 4 && getenv("NAN_HERE") != nullptr;
    return here ? losses * std::numeric_limits<float>::quiet_NaN() : losses;
  };
  const int port = FreePort();
  const pid_t zero = StartChild([&] { return Work(job, 0, 2, port); });
  const pid_t one = StartChild([&] {
    setenv("NAN_HERE", "1", 1);
    return Work(job, 1, 2, port);
  });
  EXPECT_EQ(WaitForChild(zero), 0);
  EXPECT_EQ(WaitForChild(one), 0);
  const auto file = SafetensorsFile::Open(LastState(job.options));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata().at("skipped_steps"), "1");
}

TEST_F(DistributedTrainingTest, ProcessesThatDifferAreRefused) {
  Job job;
  job.options = Options("run");
  job.change = [](int rank, TrainerOptions* options) { options->seed = 5 + rank; };
  const int code = static_cast<int>(absl::StatusCode::kFailedPrecondition);
  const int aborted = static_cast<int>(absl::StatusCode::kAborted);
  EXPECT_EQ(Run(job, 2), (std::vector<int>{aborted, code}));
}

TEST_F(DistributedTrainingTest, OneThatCannotBeginEndsAll) {
  Job job;
  job.options = Options("run");
  ASSERT_EQ(Run(job, 1), std::vector<int>{0});
  // Without resume: rank 0 refuses the directory.
  EXPECT_EQ(Run(job, 2), (std::vector<int>{static_cast<int>(absl::StatusCode::kAlreadyExists),
                                           static_cast<int>(absl::StatusCode::kAborted)}));
}

TEST_F(DistributedTrainingTest, BatchThatDoesNotDivideIsRefused) {
  Job job;
  job.options = Options("run");
  job.options.batch_size = 6;
  job.options.accumulate = 2;
  const int code = static_cast<int>(absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Run(job, 2), (std::vector<int>{code, code}));
}

}  // namespace
}  // namespace diffusiond
