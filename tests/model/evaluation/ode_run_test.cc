#include "model/evaluation/ode_run.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/gaussian_images.h"
#include "tests/testing/paired_gaussian.h"

namespace diffusiond {
namespace {

constexpr int64_t kImages = 19;

class OdeRunTest : public testing::Test {
 protected:
  std::vector<double> Run(
      const std::string& state, int lanes,
      const std::function<void(int64_t)>& progress = [](int64_t) {}) {
    auto bits = TryRun(state, "of this test", lanes, progress);
    EXPECT_TRUE(bits.ok()) << bits.status();
    return *bits;
  }

  absl::StatusOr<std::vector<double>> TryRun(const std::string& state,
                                             const std::string& fingerprint, int lanes,
                                             const std::function<void(int64_t)>& progress) {
    const NoiseSchedule schedule = *NoiseSchedule::Create({});
    std::vector<std::unique_ptr<NetworkVjp>> networks;
    for (int lane = 0; lane < lanes; ++lane) {
      networks.push_back(std::make_unique<PairedGaussian>(
          schedule, PairedGaussian::Options{.micro_batch = 3, .side = 4}));
    }
    return RunOde(
        {.steps = 5}, *NoiseAngles::Create(schedule), data_, std::vector<int64_t>(kImages, 0),
        {.state = scratch_ / state, .fingerprint = fingerprint}, std::move(networks), progress);
  }

  ScratchDirectory scratch_;
  const ImageDataset data_ = GaussianImages(kImages, 4, {});
};

TEST_F(OdeRunTest, EveryImageHasItsOwnResultWhateverItIsComputedWith) {
  const auto bits = Run("a", /*lanes=*/1);
  ASSERT_EQ(bits.size(), static_cast<size_t>(kImages));
  EXPECT_NE(bits[17], bits[18]);
  EXPECT_EQ(Run("b", /*lanes=*/2), bits);
}

TEST_F(OdeRunTest, AnInterruptedRunEndsWithTheSameBits) {
  std::vector<int64_t> heard;
  const auto whole = Run("whole", 2, [&](int64_t done) {
    heard.push_back(done);
    if (heard.size() == 2) {
      std::filesystem::copy_file(scratch_ / "whole", scratch_ / "interrupted");
    }
  });
  EXPECT_EQ(heard, (std::vector<int64_t>{0, 6, 12, 18, 19}));
  heard.clear();
  EXPECT_EQ(Run("interrupted", 2, [&](int64_t done) { heard.push_back(done); }), whole);
  EXPECT_EQ(heard.front(), 6);
}

TEST_F(OdeRunTest, AnotherRunsStateIsRefused) {
  Run("state", 1);
  EXPECT_EQ(TryRun("state", "of another", 1, [](int64_t) {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace diffusiond
