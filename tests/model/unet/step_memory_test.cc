#include "model/config/step_memory.h"

#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/unet/unet.h"
#include "model/unet/unet_classifier.h"
#include "model/unet/unet_denoiser.h"
#include "tests/model/checkpoint/golden_directory.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// In LibTorch's place on the CPU; tells how much was in use at most. A block's size stands before
// it.
class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) const override {
    const size_t whole = (bytes + 2 * kAlignment - 1) / kAlignment * kAlignment;
    auto* const begin = static_cast<std::byte*>(std::aligned_alloc(kAlignment, whole));
    std::memcpy(begin, &bytes, sizeof(bytes));
    in_use += static_cast<int64_t>(bytes);
    peak = std::max(peak.load(), in_use.load());
    std::byte* const block = begin + kAlignment;
    return {block, block, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }

  static std::atomic<int64_t> in_use, peak;

 private:
  static constexpr size_t kAlignment = 64;

  static void Free(void* block) {
    std::byte* const begin = static_cast<std::byte*>(block) - kAlignment;
    size_t bytes = 0;
    std::memcpy(&bytes, begin, sizeof(bytes));
    in_use -= static_cast<int64_t>(bytes);
    std::free(begin);
  }
};

std::atomic<int64_t> CountingAllocator::in_use = 0, CountingAllocator::peak = 0;

// What a call takes at its peak beyond what is there before it. On a thread of its own, as a lane:
// threads keep memory from one call to the next.
double PeakBytes(const std::function<void()>& call) {
  static auto& allocator = *new CountingAllocator;
  c10::SetAllocator(c10::DeviceType::CPU, &allocator, /*priority=*/1);
  const int64_t before = CountingAllocator::in_use;
  CountingAllocator::peak = before;
  std::thread(call).join();
  return static_cast<double>(CountingAllocator::peak - before);
}

double Measured(const UNetConfig& config, const StepLoad& load) {
  auto network = std::make_shared<UNet>(config);
  network->ResetParameters(1);
  for (torch::Tensor parameter : network->parameters()) parameter.set_requires_grad(false);
  network->eval();
  const size_t rows = static_cast<size_t>(load.micro_batch);
  const size_t pixels = static_cast<size_t>(config.sample_height * config.sample_width);
  const std::vector<float> x(rows * static_cast<size_t>(config.in_channels) * pixels, 0.5F);
  const std::vector<float> timesteps(rows, 500);
  const std::vector<int64_t> labels(rows, 0);
  if (load.gradients) {
    UNetClassifier classifier(network, {.micro_batch = static_cast<int>(load.micro_batch)});
    std::vector<float> gradient(x.size());
    return PeakBytes([&] {
      const absl::Status status = classifier.Gradient(x, timesteps, labels, gradient);
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  UNetDenoiser denoiser(network, {.micro_batch = static_cast<int>(load.micro_batch)});
  std::vector<float> f(rows * static_cast<size_t>(config.out_channels) * pixels);
  return PeakBytes([&] {
    const absl::Status status = denoiser.Predict(x, timesteps, labels, f);
    EXPECT_TRUE(status.ok()) << status;
  });
}

UNetConfig Small() {
  UNetConfig config;
  config.sample_height = config.sample_width = 64;
  config.block_out_channels = {32, 64};
  config.down_block_types = {"DownBlock2D", "DownBlock2D"};
  config.up_block_types = {"UpBlock2D", "UpBlock2D"};
  config.add_attention = false;
  config.layers_per_block = 1;
  return config;
}

struct Case {
  std::string name;
  UNetConfig config;
  StepLoad load;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const char* shipped : {"fashion-mnist", "noto-emoji"}) {
    const std::filesystem::path path = std::filesystem::path("model/checkpoints") / shipped;
    UNetConfig config = Checkpoint::Open(path).value().config().unet;
    cases.push_back({shipped, config, {.micro_batch = 1}});
    cases.push_back({absl::StrCat(shipped, " by eight"), config, {.micro_batch = 8}});
    config.num_class_embeds.reset();
    cases.push_back(
        {absl::StrCat(shipped, "'s gradient"), config, {.micro_batch = 4, .gradients = true}});
  }
  cases.push_back({"convolutions alone", Small(), {.micro_batch = 2}});
  UNetConfig attention = Small();
  attention.down_block_types[0] = "AttnDownBlock2D";
  attention.up_block_types[1] = "AttnUpBlock2D";
  cases.push_back({"attention over 4096 pixels", attention, {.micro_batch = 1}});
  UNetConfig wide = Small();
  wide.sample_height = 512;
  wide.sample_width = 256;
  wide.down_block_types[0] = "ResnetDownsampleBlock2D";
  wide.up_block_types[1] = "ResnetUpsampleBlock2D";
  cases.push_back({"many pixels", wide, {.micro_batch = 1}});
  UNetConfig deep = Small();
  deep.sample_height = deep.sample_width = 16;
  deep.block_out_channels = {256, 512};
  cases.push_back({"many channels", deep, {.micro_batch = 1}});
  return cases;
}

TEST(StepMemoryTest, IsWithinAFactorOfTwoOfWhatIsMeasured) {
  // What a lane's thread keeps, and Winograd's kernels, whose memory is not LibTorch's.
  constexpr double kLane = 10e6;
  for (const Case& one : Cases()) {
    const double measured = Measured(one.config, one.load);
    const double estimate = EstimateStepMemory(one.config, 0, one.load).activations;
    EXPECT_GT(estimate, measured / 2) << one.name;
    EXPECT_LT(estimate, measured * 2 + kLane) << one.name;
  }
}

TEST(StepMemoryTest, NeverFallsWhereMoreIsAskedFor) {
  const auto total = [](const UNetConfig& config, const StepLoad& load = {}) {
    return EstimateStepMemory(config, 1000, load).total();
  };
  const double least = total(Small());
  EXPECT_GT(total(Small(), {.micro_batch = 2}), least);
  EXPECT_GT(total(Small(), {.lanes = 2}), least);
  EXPECT_GT(total(Small(), {.gradients = true}), least);
  struct More {
    const char* what;
    std::function<void(UNetConfig*)> change;
  };
  for (const auto& [what, change] : {
           More{"sample_height", [](UNetConfig* c) { c->sample_height *= 2; }},
           {"sample_width", [](UNetConfig* c) { c->sample_width *= 2; }},
           {"block_out_channels[0]", [](UNetConfig* c) { c->block_out_channels[0] *= 2; }},
           {"block_out_channels[1]", [](UNetConfig* c) { c->block_out_channels[1] *= 8; }},
           {"layers_per_block", [](UNetConfig* c) { ++c->layers_per_block; }},
           {"in_channels", [](UNetConfig* c) { ++c->in_channels; }},
           {"out_channels", [](UNetConfig* c) { ++c->out_channels; }},
           {"attention", [](UNetConfig* c) { c->down_block_types[0] = "AttnDownBlock2D"; }},
       }) {
    UNetConfig more = Small();
    change(&more);
    EXPECT_GT(total(more), least) << what;
  }
}

TEST(StepMemoryTest, CountsByHand) {
  // Two levels of one pixel and its quarter would be too small: one level, one layer, one channel.
  UNetConfig config = Small();
  config.sample_height = config.sample_width = 1024;
  config.block_out_channels = {32};
  config.down_block_types = {"AttnDownBlock2D"};
  config.up_block_types = {"UpBlock2D"};
  config.attention_head_dim = 8;
  const StepMemory memory = EstimateStepMemory(config, 1e6, {});
  EXPECT_EQ(memory.weights, 4e6);
  // Two matrices for each of four heads, of every pixel with every other.
  const double matrices = 2 * 4 * std::pow(1024.0, 4) * 4;
  EXPECT_GT(memory.activations, matrices);
  EXPECT_LT(memory.activations, 1.01 * matrices);
  EXPECT_THAT(memory.most_for,
              AllOf(HasSubstr("sample_size 1024 x 1024"), HasSubstr("block_out_channels[0] = 32"),
                    HasSubstr("4 attention heads over 1024 x 1024")));
}

TEST(StepMemoryTest, OverflowsNothingThatIsAccepted) {
  UNetConfig config;
  config.sample_height = config.sample_width = 4096;
  config.in_channels = config.out_channels = 3;
  config.block_out_channels.assign(10, 8192);
  config.down_block_types.assign(10, "AttnDownBlock2D");
  config.up_block_types.assign(10, "AttnUpBlock2D");
  config.attention_head_dim = 1;
  config.layers_per_block = 32;
  ASSERT_TRUE(Validate(config).ok()) << Validate(config);
  const StepMemory memory =
      EstimateStepMemory(config, 1e15, {.micro_batch = 1024, .lanes = 1024, .gradients = true});
  EXPECT_TRUE(std::isfinite(memory.total()));
  EXPECT_GT(memory.total(), 1e24);
}

TEST(StepMemoryTest, TheLimitIsTheFlagOrHalfOfTheMachine) {
  EXPECT_EQ(ModelMemoryLimit(5'000'000), 5'000'000);
  EXPECT_GT(ModelMemoryLimit(0), int64_t{1} << 26);
  EXPECT_TRUE(CheckMaxModelMemory(0).ok());
  EXPECT_TRUE(CheckMaxModelMemory(kMinModelMemory).ok());
  for (const int64_t wrong : {int64_t{-1}, int64_t{1}, kMaxModelMemory + 1}) {
    EXPECT_THAT(std::string(CheckMaxModelMemory(wrong).message()),
                AllOf(HasSubstr(absl::StrCat("--max_model_memory is ", wrong)),
                      HasSubstr("1048576 .. 1125899906842624")));
  }
}

}  // namespace
}  // namespace diffusiond
