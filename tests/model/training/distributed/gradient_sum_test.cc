#include "model/training/distributed/gradient_sum.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>

#include "model/training/distributed/worker_group.h"
#include "model/training/loop/flat_parameters.h"
#include "tests/testing/free_port.h"
#include "tests/testing/in_child.h"

namespace diffusiond {
namespace {

// Of buckets of a few bytes each parameter has its own.
TEST(GradientSumTest, BucketsSumWhateverTheirSizeWhileBackwardGoesOn) {
  at::set_num_threads(1);  // No threads that a forked child would miss.
  setenv("GLOO_SOCKET_IFNAME", "lo", 1);
  for (int64_t bucket_bytes : {int64_t{1}, int64_t{4000}, int64_t{1} << 30}) {
    const int port = FreePort();
    const auto work = [&](int rank) {
      WorkerEnvironment environment;
      environment.rank = rank;
      environment.size = 2;
      environment.master_address = "127.0.0.1";
      environment.master_port = port;
      auto workers = WorkerGroup::Join(environment, torch::kCPU, absl::Minutes(1));
      if (!workers.ok()) return 1;
      torch::manual_seed(3);
      torch::nn::Sequential net(torch::nn::Linear(10, 30), torch::nn::ReLU(),
                                torch::nn::Linear(30, 5));
      FlattenParameters(net.ptr().get());
      const torch::Tensor gradient = FlattenGradients(net.ptr().get());
      GradientSum sum(net.ptr().get(), gradient, workers->get(), bucket_bytes);
      const torch::Tensor x = torch::randn({2, 10});
      for (int round = 0; round < 3; ++round) {
        gradient.zero_();
        net->forward(x).square().sum().backward();
        const torch::Tensor expected = gradient.clone();
        gradient.zero_();
        const torch::Tensor also = torch::full({2}, rank + 1.0);
        sum.Arm();
        // Backward is there when it has done with the second layer, and not yet with the first.
        size_t begun_half_way = 99;
        const torch::Tensor hidden =
            net->ptr<torch::nn::LinearImpl>(0)->forward(x.narrow(0, rank, 1));
        hidden.register_hook([&](const torch::Tensor&) { begun_half_way = sum.begun(); });
        net->ptr<torch::nn::LinearImpl>(2)->forward(hidden.relu()).square().sum().backward();
        if (begun_half_way != (sum.buckets() == 4 ? 2u : 0u)) return 5;
        if (sum.begun() != sum.buckets()) return 6;
        if (!sum.Finish(also).ok()) return 2;
        if (!torch::allclose(gradient, expected, 1e-5, 1e-6)) return 3;
        if (also[0].item<double>() != 3) return 4;
      }
      return 0;
    };
    const pid_t zero = StartChild([&] { return work(0); });
    const pid_t one = StartChild([&] { return work(1); });
    EXPECT_EQ(WaitForChild(zero), 0) << bucket_bytes;
    EXPECT_EQ(WaitForChild(one), 0) << bucket_bytes;
  }
}

}  // namespace
}  // namespace diffusiond
