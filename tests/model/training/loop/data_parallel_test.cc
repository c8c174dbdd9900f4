#include "model/training/loop/data_parallel.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "model/training/loop/flat_parameters.h"
#include "tests/testing/free_port.h"
#include "tests/testing/in_child.h"

namespace diffusiond {
namespace {

// Losses that a float has exactly; an index that it would lose.
StepOutcome ShareOf(int64_t rank) {
  StepOutcome share;
  share.loss = 0.25 + static_cast<double>(rank);
  share.gradient_norm = 7;
  share.images = {int64_t{1} << 40, 10 * rank + 1};
  share.timesteps = {10 * rank + 2, 10 * rank + 3};
  share.losses = {static_cast<float>(rank) + 0.5f, static_cast<float>(rank) + 0.75f};
  share.waited = absl::Seconds(rank + 1);
  share.stop = rank == 1;
  return share;
}

TEST(DataParallelTest, OneAloneHasTheWholeBatchAndTellsNobody) {
  DataParallel alone(nullptr);
  EXPECT_EQ(alone.rank(), 0);
  EXPECT_EQ(alone.size(), 1);
  torch::nn::Linear net(2, 1);
  FlattenParameters(net.get());
  const torch::Tensor gradient = FlattenGradients(net.get());
  gradient.fill_(3);
  alone.SumGradients(net.get(), gradient);
  alone.BeforeLastBackward();
  StepOutcome outcome = ShareOf(1);
  // Of a larger batch: packed and read back, its other images would be there as zeros.
  ASSERT_TRUE(alone.FinishStep(/*batch_size=*/4, &outcome).ok());
  EXPECT_EQ(outcome.loss, 1.25);
  EXPECT_EQ(outcome.images, ShareOf(1).images);
  EXPECT_EQ(outcome.timesteps, ShareOf(1).timesteps);
  EXPECT_EQ(outcome.losses, ShareOf(1).losses);
  EXPECT_TRUE(outcome.stop);
  EXPECT_EQ(gradient.sum().item<double>(), 9);

  TrainingState state;
  EXPECT_EQ(alone.ShareState(absl::DataLossError("mine"), "", &state).code(),
            absl::StatusCode::kDataLoss);
}

TEST(DataParallelTest, ABatchIsCutIntoEqualPieces) {
  const DataParallel alone(nullptr);
  EXPECT_TRUE(alone.CheckDivides(6, 2).ok());
  const absl::Status odd = alone.CheckDivides(6, 4);
  EXPECT_EQ(odd.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(odd.message(),
            "--batch_size is 6; it must be a multiple of 4 (1 process x --accumulate=4)");
}

// What a process of two finds wrong, as a number; 0: nothing.
int FinishStepOfTwo(int rank, int port) {
  WorkerEnvironment environment;
  environment.rank = rank;
  environment.size = 2;
  environment.master_address = "127.0.0.1";
  environment.master_port = port;
  auto workers = WorkerGroup::Join(environment, torch::kCPU, absl::Minutes(1));
  if (!workers.ok()) return 1;
  DataParallel parallel(workers->get());
  torch::nn::Linear net(2, 1);
  FlattenParameters(net.get());
  const torch::Tensor gradient = FlattenGradients(net.get());
  parallel.SumGradients(net.get(), gradient);
  for (int step = 0; step < 2; ++step) {
    gradient.zero_();
    parallel.BeforeLastBackward();
    net->forward(torch::full({1, 2}, rank + 1.0)).sum().backward();
    StepOutcome outcome = ShareOf(rank);
    if (!parallel.FinishStep(/*batch_size=*/4, &outcome).ok()) return 2;
    if (outcome.loss != 0.25 + 1.25) return 3;
    const int64_t large = int64_t{1} << 40;
    if (outcome.images != std::vector<int64_t>{large, 1, large, 11}) return 4;
    if (outcome.timesteps != std::vector<int64_t>{2, 3, 12, 13}) return 5;
    if (outcome.losses != std::vector<float>{0.5, 0.75, 1.5, 1.75}) return 6;
    if (!outcome.stop) return 7;
    if (outcome.waited != absl::Seconds(rank + 1)) return 8;  // Each its own.
    if (gradient.sum().item<double>() != 2 * (1 + 2) + 2) return 9;
  }
  return 0;
}

TEST(DataParallelTest, SharesBecomeTheBatchInOrderOfRank) {
  at::set_num_threads(1);  // No threads that a forked child would miss.
  setenv("GLOO_SOCKET_IFNAME", "lo", 1);
  const int port = FreePort();
  const pid_t zero = StartChild([&] { return FinishStepOfTwo(0, port); });
  const pid_t one = StartChild([&] { return FinishStepOfTwo(1, port); });
  EXPECT_EQ(WaitForChild(zero), 0);
  EXPECT_EQ(WaitForChild(one), 0);
}

}  // namespace
}  // namespace diffusiond
