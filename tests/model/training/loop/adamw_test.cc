#include "model/training/loop/adamw.h"

#include <gtest/gtest.h>

namespace diffusiond {
namespace {

using Step = void (*)(const torch::Tensor&, double, double, TrainingState*);

// Twenty steps of ours and of LibTorch's, of the same gradients.
void ExpectLibTorchs(Step step) {
  constexpr int64_t kSize = 1003;  // Leaves some over in every vector register.
  torch::manual_seed(1);
  const torch::Tensor start = torch::randn({kSize});
  TrainingState ours;
  ours.parameters = start.clone();
  ours.first_moment = torch::zeros({kSize});
  ours.second_moment = torch::zeros({kSize});
  ours.skipped_steps = 2;
  torch::Tensor theirs = start.clone().requires_grad_();
  torch::optim::AdamW optimizer({theirs}, torch::optim::AdamWOptions(3e-3).weight_decay(0.1));
  for (int i = 1; i <= 20; ++i) {
    const torch::Tensor gradient = torch::randn({kSize});
    theirs.mutable_grad() = gradient.clone();
    optimizer.step();
    ours.step = i + ours.skipped_steps;
    step(gradient, 3e-3, 0.1, &ours);
    ASSERT_TRUE(torch::allclose(ours.parameters, theirs, 1e-5, 1e-6)) << "step " << i;
  }
}

TEST(AdamWTest, EqualsLibTorchs) { ExpectLibTorchs(AdamWStep); }

TEST(AdamWTest, ByPassesEqualsLibTorchs) { ExpectLibTorchs(AdamWStepByPasses); }

TEST(AdamWTest, FusedEqualsLibTorchs) {
  if (!HasFusedAdamW(torch::kCPU)) {
    GTEST_SKIP() << "this LibTorch has no fused AdamW for CPUs (2.4 has)";
  }
  ExpectLibTorchs(FusedAdamWStep);
}

}  // namespace
}  // namespace diffusiond
