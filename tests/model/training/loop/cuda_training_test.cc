// What is done otherwise on a GPU. Without one, all tests but those of CudaGraphOptionTest skip.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/training/loop/adamw.h"
#include "model/training/loop/step_graph.h"
#include "model/training/loop/trainer.h"
#include "model/unet/device_option.h"
#include "tests/testing/tiny_training.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

class CudaTrainingTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
    UseFullFloat32();
  }

  // The averaged weights after the run, as one vector.
  static torch::Tensor Train(const std::string& name, torch::Device device,
                             const std::function<void(TrainerOptions*)>& change) {
    const fs::path out = fs::path(testing::TempDir()) / ("cuda_training_" + name);
    fs::remove_all(out);
    TrainerOptions options = TinyOptions(out);
    options.model.unet.dropout = 0;  // A CPU and a GPU do not draw the same.
    change(&options);
    const ImageDataset train = TinyImages(10), held_out = TinyImages(2);
    TrainerParts parts;
    parts.train = &train;
    parts.held_out = &held_out;
    parts.device = device;
    auto trainer = Trainer::Create(options, parts, /*resume=*/false);
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    const std::atomic<bool> never = false;
    const absl::Status trained = (*trainer)->Run(never);
    EXPECT_TRUE(trained.ok()) << trained;
    const auto checkpoint = Checkpoint::Open(out / "checkpoint");
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    std::vector<torch::Tensor> weights;
    for (const auto& [key, view] : checkpoint->tensors()) {
      weights.push_back(torch::from_blob(const_cast<std::byte*>(view.data.data()),
                                         {static_cast<int64_t>(view.data.size() / sizeof(float))},
                                         torch::kFloat32)
                            .clone());
    }
    return torch::cat(weights);
  }

  // Of the way that training went, the share that differs.
  static double Difference(const torch::Tensor& a, const torch::Tensor& b,
                           const torch::Tensor& start) {
    return (a - b).norm().item<double>() / (a - start).norm().item<double>();
  }
};

TEST_F(CudaTrainingTest, EveryWayTrainsAsTheCpuDoes) {
  const auto as_is = [](TrainerOptions*) {};
  const torch::Tensor start =
      Train("start", torch::kCPU, [](TrainerOptions* options) { options->learning_rate = 0; });
  const torch::Tensor on_cpu = Train("cpu", torch::kCPU, as_is);
  ASSERT_GT((on_cpu - start).norm().item<double>(), 0);
  EXPECT_LT(Difference(on_cpu, Train("gpu", torch::kCUDA, as_is), start), 0.02);
  EXPECT_LT(Difference(on_cpu,
                       Train("channels_last", torch::kCUDA,
                             [](TrainerOptions* options) { options->channels_last = true; }),
                       start),
            0.02);
  EXPECT_LT(Difference(on_cpu,
                       Train("graph", torch::kCUDA,
                             [](TrainerOptions* options) { options->cuda_graph = true; }),
                       start),
            0.02);
  const auto importance = [](TrainerOptions* options) {
    options->objective.timestep_sampling = TimestepSampling::kImportance;
    options->model.scheduler.num_train_timesteps = 2;  // So that it is soon no longer uniform.
  };
  EXPECT_LT(Difference(Train("importance_cpu", torch::kCPU, importance),
                       Train("pieces", torch::kCUDA,
                             [&](TrainerOptions* options) {
                               importance(options);
                               options->cuda_graph = options->channels_last = true;
                               options->accumulate = 2;
                             }),
                       start),
            0.02);
  EXPECT_LT(Difference(on_cpu,
                       Train("bf16", torch::kCUDA,
                             [](TrainerOptions* options) {
                               options->bf16 = options->channels_last = options->cuda_graph = true;
                             }),
                       start),
            0.2);
}

// On any machine.
TEST(CudaGraphOptionTest, IsRefusedWithWhatItCannotBe) {
  const fs::path out = fs::path(testing::TempDir()) / "cuda_graph_option";
  const ImageDataset train = TinyImages(10), none;
  const auto refusal = [&](const std::function<void(TrainerOptions*, TrainerParts*)>& change) {
    TrainerOptions options = TinyOptions(out);
    options.cuda_graph = true;
    TrainerParts parts;
    parts.train = &train;
    parts.held_out = &none;
    change(&options, &parts);
    const absl::Status status = Trainer::Create(options, parts, /*resume=*/false).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_FALSE(fs::exists(out)) << "nothing is begun";
    return std::string(status.message());
  };
  EXPECT_EQ(refusal([](TrainerOptions*, TrainerParts*) {}),
            "--cuda_graph is given; the device is cpu, no GPU");
  EXPECT_EQ(refusal([](TrainerOptions* options, TrainerParts*) {
              options->checkpoint_activations = true;
            }),
            "--cuda_graph is given; it must be false with --checkpoint_activations");
  EXPECT_EQ(refusal([](TrainerOptions* options, TrainerParts*) {
              options->objective.learn_schedule = true;
              options->objective.weight.kind = LossWeight::kVdm;
            }),
            "--cuda_graph is given; it must be false with --learn_schedule");
  EXPECT_EQ(refusal([](TrainerOptions*, TrainerParts* parts) {
              parts->loss_hook = [](int64_t, const torch::Tensor& losses) { return losses; };
            }),
            "--cuda_graph is given; it must be false with a loss hook");
}

// Two ways to run on a GPU that draw the same.
TEST_F(CudaTrainingTest, DropoutIsTheSameInAGraphAndWhenRecomputed) {
  const auto dropout = [](TrainerOptions* options) { options->model.unet.dropout = 0.2; };
  const torch::Tensor start = Train("dropout_start", torch::kCPU,
                                    [](TrainerOptions* options) { options->learning_rate = 0; });
  const torch::Tensor plain = Train("dropout", torch::kCUDA, dropout);
  EXPECT_LT(Difference(plain,
                       Train("dropout_graph", torch::kCUDA,
                             [&](TrainerOptions* options) {
                               dropout(options);
                               options->cuda_graph = true;
                             }),
                       start),
            0.02);
  EXPECT_LT(Difference(plain,
                       Train("dropout_recomputed", torch::kCUDA,
                             [&](TrainerOptions* options) {
                               dropout(options);
                               options->checkpoint_activations = true;
                             }),
                       start),
            0.02);
}

TEST_F(CudaTrainingTest, FusedAdamWEqualsPasses) {
  if (!HasFusedAdamW(torch::kCUDA)) GTEST_SKIP() << "this LibTorch has no fused AdamW (2.0 has)";
  torch::manual_seed(1);
  TrainingState fused, passes;
  fused.parameters = torch::randn({1003}, torch::kCUDA);
  fused.first_moment = torch::zeros_like(fused.parameters);
  fused.second_moment = torch::zeros_like(fused.parameters);
  passes.parameters = fused.parameters.clone();
  passes.first_moment = fused.first_moment.clone();
  passes.second_moment = fused.second_moment.clone();
  for (int step = 1; step <= 20; ++step) {
    const torch::Tensor gradient = torch::randn({1003}, torch::kCUDA);
    fused.step = passes.step = step;
    FusedAdamWStep(gradient, 3e-3, 0.1, &fused);
    AdamWStepByPasses(gradient, 3e-3, 0.1, &passes);
    ASSERT_TRUE(torch::allclose(fused.parameters, passes.parameters, 1e-5, 1e-6)) << step;
  }
}

TEST_F(CudaTrainingTest, AGraphReadsItsInputsAnew) {
  if (!HasStepGraphs()) GTEST_SKIP() << "built without CUDA";
  const torch::Tensor in = torch::zeros({4}, torch::kCUDA), sum = torch::zeros({4}, torch::kCUDA);
  int calls = 0;
  StepGraph graph(torch::kCUDA, [&] {
    ++calls;
    sum.add_(in * 2);
  });
  double expected = 0;
  for (int i = 0; i < 10; ++i) {
    in.fill_(i);
    const absl::Status status = graph.Run();
    ASSERT_TRUE(status.ok()) << status;
    expected += 2 * i;
    EXPECT_EQ(sum[3].item<double>(), expected) << "run " << i;
  }
  EXPECT_EQ(calls, StepGraph::kWarmUps + 1);
}

// Stays the last test here: no graph can be captured after it.
TEST_F(CudaTrainingTest, WhatCannotBeCapturedIsAnError) {
  if (!HasStepGraphs()) GTEST_SKIP() << "built without CUDA";
  const torch::Tensor in = torch::ones({4}, torch::kCUDA);
  StepGraph graph(torch::kCUDA, [&] { in.sum().item<float>(); });
  absl::Status status;
  for (int i = 0; i <= StepGraph::kWarmUps; ++i) status = graph.Run();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
}

}  // namespace
}  // namespace diffusiond
