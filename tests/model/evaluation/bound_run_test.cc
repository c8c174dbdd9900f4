#include "model/evaluation/bound_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numbers>
#include <utility>
#include <vector>

#include "model/diffusion/level_decoder.h"
#include "model/evaluation/bound_report.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/gaussian_denoiser.h"
#include "tests/testing/gaussian_images.h"

namespace diffusiond {
namespace {

constexpr GaussianPixels kPixels = {.mean = -0.1, .deviation = 0.2};
constexpr int kSide = 6;

// The exact denoiser, and the exact reverse variance as a network of learned_range gives it.
class ExactVarianceDenoiser : public Denoiser {
 public:
  ExactVarianceDenoiser(const NoiseSchedule& schedule, const GaussianDenoiser::Options& options)
      : mean_(schedule, options),
        bound_(schedule.betas(), ReverseVariance::kLearnedRange),
        deviation_(options.deviation) {}

  ImageShape shape() const override { return mean_.shape(); }
  int micro_batch() const override { return mean_.micro_batch(); }
  int output_channels() const override { return 2 * shape().channels; }
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override {
    std::vector<float> mean(x.size());
    absl::Status status = mean_.Predict(x, timesteps, labels, mean);
    const size_t n = static_cast<size_t>(shape().elements());
    for (size_t row = 0; row < timesteps.size(); ++row) {
      const int64_t t = static_cast<int64_t>(timesteps[row]);
      const double before = t == 0 ? 1 : bound_.alpha_bar(t - 1),
                   alpha = bound_.alpha_bar(t) / before;
      const double variance = before * deviation_ * deviation_ + 1 - before;
      const double exact = std::log(variance * (1 - alpha) / (alpha * variance + 1 - alpha));
      const VariationalBound::Step& step = bound_.step(t);
      const double share = (exact - step.log_posterior) / (step.log_beta - step.log_posterior);
      for (size_t i = 0; i < n; ++i) {
        f[2 * row * n + i] = mean[row * n + i];
        f[(2 * row + 1) * n + i] = static_cast<float>(2 * share - 1);
      }
    }
    return status;
  }

 private:
  GaussianDenoiser mean_;
  VariationalBound bound_;
  double deviation_;
};

// Gaussian data before its exact denoiser.
class BoundRunTest : public testing::Test {
 protected:
  void Use(int64_t images, int64_t timesteps, uint64_t noise_seed = 0, bool zero_snr = false,
           const std::string& variance_type = "fixed_large", double clip_range = 0) {
    // The last step, down to bytes, is wide against a byte's own.
    SchedulerConfig config;
    config.num_train_timesteps = timesteps;
    config.trained_betas.assign(static_cast<size_t>(timesteps),
                                12.0 / static_cast<double>(timesteps));
    config.trained_betas[0] = 0.004;
    for (size_t t = 1; t < config.trained_betas.size(); ++t) {
      config.trained_betas[t] = std::min(0.3, 0.004 * std::pow(1.08, static_cast<double>(t)));
    }
    config.clip_sample = clip_range > 0;
    if (config.clip_sample) config.clip_sample_range = clip_range;
    config.variance_type = variance_type;
    config.rescale_betas_zero_snr = zero_snr;
    auto model = MakeModelSchedule(config);
    ASSERT_TRUE(model.ok()) << model.status();
    data_ = GaussianImages(images, kSide, kPixels);
    std::vector<std::unique_ptr<Denoiser>> lanes;
    for (int lane = 0; lane < 2; ++lane) {
      const GaussianDenoiser::Options options = {.shape = {1, kSide, kSide},
                                                 .micro_batch = 3,
                                                 .means = {kPixels.mean},
                                                 .deviation = kPixels.deviation};
      if (config.learns_variance()) {
        lanes.push_back(std::make_unique<ExactVarianceDenoiser>(model->schedule, options));
      } else {
        lanes.push_back(std::make_unique<GaussianDenoiser>(model->schedule, options));
      }
    }
    auto runner = PlanRunner::Create(std::move(lanes));
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    denoiser_ = std::make_unique<DataDenoiser>(
        *model, DefaultSamplingOptions(config),
        VariationalBound(model->schedule.betas(), *ParseReverseVariance(variance_type)), &data_,
        std::vector<int64_t>(static_cast<size_t>(images), 0), noise_seed, runner_.get());
  }

  BoundRunOptions Options(const std::string& state, int64_t per_image) const {
    return {.timesteps_per_image = per_image,
            .seed = 0,
            .state = scratch_ / state,
            .fingerprint = "of this test"};
  }

  Bounds RunBoth(
      const BoundRunOptions& options,
      const std::function<void(int64_t)>& progress = [](int64_t) {}) {
    auto sums = RunBound(options, denoiser_.get(), progress);
    EXPECT_TRUE(sums.ok()) << sums.status();
    return *sums;
  }
  BoundSums Run(
      const BoundRunOptions& options,
      const std::function<void(int64_t)>& progress = [](int64_t) {}) {
    return RunBoth(options, progress).network;
  }

  ScratchDirectory scratch_;
  ImageDataset data_;
  std::unique_ptr<PlanRunner> runner_;
  std::unique_ptr<DataDenoiser> denoiser_;
};

TEST_F(BoundRunTest, WithTheExactVarianceLearnedThereIsNoGap) {
  Use(/*images=*/200, /*timesteps=*/100, 0, false, "learned_range");
  const BoundSummary summary = SummariseBound(Run(Options("state", 0)));
  EXPECT_NEAR(summary.total.mean, EntropyBitsPerPixel(kPixels), 0.08);
  EXPECT_LT(summary.total.standard_error, 0.03);
}

TEST_F(BoundRunTest, AllTermsOfGaussianDataAddUpToItsEntropyAndAKnownGap) {
  Use(/*images=*/200, /*timesteps=*/100);
  const BoundSummary summary = SummariseBound(Run(Options("state", 0)));
  EXPECT_EQ(summary.images, 200);
  const double entropy = EntropyBitsPerPixel(kPixels);
  // The fixed variance of the step to bytes, beta_tilde_1, is half of what it should be: that
  // costs (1 - ln 2) / 2 nats.
  const double gap = (1 - std::numbers::ln2) / 2 * std::numbers::log2e;
  EXPECT_NEAR(summary.total.mean, entropy + gap, 0.08);
  EXPECT_LT(summary.total.standard_error, 0.03);
}

// Clipping far from the data changes nothing, clipping into it costs bits: of the sampler that does
// so, not of the network.
TEST_F(BoundRunTest, TheSamplerThatClipsHasABoundOfItsOwn) {
  Use(/*images=*/20, /*timesteps=*/100);
  const Bounds none = RunBoth(Options("none", 6));
  EXPECT_FALSE(none.clips());
  Use(20, 100, 0, false, "fixed_large", /*clip_range=*/4);
  const Bounds wide = RunBoth(Options("wide", 6));
  ASSERT_TRUE(wide.clips());
  Use(20, 100, 0, false, "fixed_large", /*clip_range=*/0.2);
  const Bounds narrow = RunBoth(Options("narrow", 6));
  ASSERT_TRUE(narrow.clips());
  const auto total = [](const BoundSums& sums) { return SummariseBound(sums).total.mean; };
  EXPECT_EQ(total(wide.network), total(none.network));
  EXPECT_EQ(total(wide.clipped), total(none.network));
  EXPECT_EQ(total(narrow.network), total(none.network));
  EXPECT_GT(total(narrow.clipped), total(none.network) + 0.5);
}

TEST_F(BoundRunTest, LevelsAreDecodedByTheFirstNoiseLevelAlone) {
  Use(/*images=*/20, /*timesteps=*/100);
  BoundRunOptions options = Options("levels", 6);
  options.decoder = ByteDecoder::kLevels;
  const BoundSums levels = Run(options), gaussian = Run(Options("gaussian", 6));
  const double alpha_bar = denoiser_->bound().alpha_bar(0);
  const LevelDecoderNats nats = DecodeLevels(std::log((1 - alpha_bar) / alpha_bar));
  for (size_t image = 0; image < levels.images.size(); ++image) {
    // Far from black and white all bytes cost the same.
    EXPECT_NEAR(levels.images[image].decoder, nats.value[128] * std::numbers::log2e, 1e-3);
    EXPECT_EQ(levels.images[image].middle, gaussian.images[image].middle);
  }
}

TEST_F(BoundRunTest, FewTimestepsEstimateWhatAllOfThemGive) {
  Use(/*images=*/200, /*timesteps=*/100);
  const BoundSummary all = SummariseBound(Run(Options("all", 0)));
  const BoundSummary few = SummariseBound(Run(Options("few", 6)));
  EXPECT_EQ(few.decoder.mean, all.decoder.mean);
  EXPECT_EQ(few.prior.mean, all.prior.mean);
  EXPECT_NE(few.middle.mean, all.middle.mean);
  EXPECT_NEAR(few.middle.mean, all.middle.mean, 3 * few.middle.standard_error);
  EXPECT_LT(few.middle.standard_error, 0.03);
}

TEST_F(BoundRunTest, AnInterruptedRunEndsWithTheSameBits) {
  Use(/*images=*/60, /*timesteps=*/40);
  std::vector<int64_t> heard;
  Run(Options("whole", 0), [&](int64_t done) {
    heard.push_back(done);
    if (heard.size() == 3) {
      std::filesystem::copy_file(scratch_ / "whole", scratch_ / "interrupted");
    }
  });
  ASSERT_GE(heard.size(), 4u);
  EXPECT_EQ(heard.front(), 0);
  EXPECT_EQ(heard.back(), 60);
  int64_t first = -1;
  Run(Options("interrupted", 0), [&](int64_t done) {
    if (first < 0) first = done;
  });
  EXPECT_EQ(first, heard[2]);
  EXPECT_EQ(ReadWholeFile(scratch_ / "interrupted"), ReadWholeFile(scratch_ / "whole"));
}

TEST_F(BoundRunTest, AFinishedRunIsNotRepeated) {
  Use(/*images=*/10, /*timesteps=*/20);
  const BoundSums first = Run(Options("state", 0));
  int calls = 0;
  const BoundSums again = Run(Options("state", 0), [&](int64_t) { ++calls; });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(again.images.size(), first.images.size());
  EXPECT_EQ(SummariseBound(again).total.mean, SummariseBound(first).total.mean);
}

TEST_F(BoundRunTest, AnotherRunsStateIsRefused) {
  Use(/*images=*/4, /*timesteps=*/20);
  Run(Options("state", 0));
  BoundRunOptions other = Options("state", 0);
  other.fingerprint = "of another";
  const auto status = RunBound(other, denoiser_.get(), [](int64_t) {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(status.message().find("of this test"), std::string::npos) << status;
}

TEST_F(BoundRunTest, ATermThatIsNotFiniteIsNamed) {
  Use(/*images=*/1, /*timesteps=*/20, /*noise_seed=*/0, /*zero_snr=*/true);
  const auto status = RunBound(Options("state", 0), denoiser_.get(), [](int64_t) {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_NE(status.message().find("L_19 of image 0 is not finite"), std::string::npos) << status;
}

TEST_F(BoundRunTest, NoiseDependsOnItsSeed) {
  Use(/*images=*/4, /*timesteps=*/20, /*noise_seed=*/0);
  const double first = SummariseBound(Run(Options("first", 0))).middle.mean;
  Use(/*images=*/4, /*timesteps=*/20, /*noise_seed=*/1);
  EXPECT_NE(SummariseBound(Run(Options("second", 0))).middle.mean, first);
}

}  // namespace
}  // namespace diffusiond
