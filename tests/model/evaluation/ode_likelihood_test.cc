#include "model/evaluation/ode_likelihood.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "model/evaluation/random_streams.h"
#include "tests/testing/gaussian_images.h"
#include "tests/testing/paired_gaussian.h"

namespace diffusiond {
namespace {

NoiseSchedule Schedule(const std::string& beta_schedule = "squaredcos_cap_v2") {
  SchedulerConfig config;
  config.beta_schedule = beta_schedule;
  auto schedule = NoiseSchedule::Create(config);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  return *schedule;
}

// -log2 p(byte's point) per pixel under the model's own density, that of the data with the least
// noise, at the point that image `index` is moved to.
double ExactBits(const ImageDataset& data, int64_t index, const NoiseAngles& angles,
                 const PairedGaussian::Options& options, uint64_t seed = 0) {
  const double least = std::tan(angles.least());
  const double variances[2] = {options.variance + options.covariance + least * least,
                               options.variance - options.covariance + least * least};
  const auto bytes = data.image(index);
  double nats = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    double y[2];
    for (size_t k = 0; k < 2; ++k) {
      const double u =
          EvaluationUniform(seed, kDequantisationStream, index, static_cast<int64_t>(i + k));
      y[k] = (bytes[i + k] + u - 0.5) / 127.5 - 1 - options.mean;
    }
    const double along[2] = {(y[0] + y[1]) / std::numbers::sqrt2,
                             (y[0] - y[1]) / std::numbers::sqrt2};
    for (size_t k = 0; k < 2; ++k) {
      nats += 0.5 *
              (std::log(2 * std::numbers::pi * variances[k]) + along[k] * along[k] / variances[k]);
    }
  }
  return nats * std::numbers::log2e / static_cast<double>(bytes.size()) + std::log2(127.5);
}

std::vector<double> Bits(const OdeOptions& options, const ImageDataset& data,
                         const NoiseSchedule& schedule, const PairedGaussian::Options& gaussian) {
  PairedGaussian network(schedule, gaussian);
  std::vector<int64_t> indices, labels(static_cast<size_t>(gaussian.micro_batch), 0);
  for (int64_t i = 0; i < gaussian.micro_batch; ++i) indices.push_back(i);
  auto bits =
      OdeBitsPerDim(options, *NoiseAngles::Create(schedule), data, indices, labels, &network);
  EXPECT_TRUE(bits.ok()) << bits.status();
  return *bits;
}

TEST(OdeLikelihoodTest, IsTheExactLikelihoodOfEachGaussianImage) {
  const GaussianPixels pixels = {.mean = 0.1, .deviation = 0.2};
  const ImageDataset data = GaussianImages(3, 4, pixels);
  for (const std::string beta_schedule : {"squaredcos_cap_v2", "linear"}) {
    for (const PredictionType type : {PredictionType::kEpsilon, PredictionType::kVelocity}) {
      const NoiseSchedule schedule = Schedule(beta_schedule);
      const PairedGaussian::Options gaussian = {
          .micro_batch = 3, .side = 4, .mean = 0.1, .variance = 0.04, .prediction_type = type};
      const auto bits = Bits({.method = OdeMethod::kRk4, .steps = 60, .prediction_type = type},
                             data, schedule, gaussian);
      for (int64_t i = 0; i < 3; ++i) {
        EXPECT_NEAR(bits[static_cast<size_t>(i)],
                    ExactBits(data, i, *NoiseAngles::Create(schedule), gaussian), 2e-3)
            << beta_schedule << " " << i;
      }
    }
  }
}

TEST(OdeLikelihoodTest, GaussianImagesTakeTheirEntropyOnAverage) {
  const GaussianPixels pixels = {.mean = 0, .deviation = 0.2};
  const ImageDataset data = GaussianImages(50, 8, pixels);
  const auto bits = Bits({.method = OdeMethod::kHeun, .steps = 60}, data, Schedule(),
                         {.micro_batch = 50, .side = 8, .mean = 0, .variance = 0.04});
  double mean = 0;
  for (const double value : bits) mean += value / 50;
  // 3200 pixels: the standard error of their squares is 0.018 bits.
  EXPECT_NEAR(mean, EntropyBitsPerPixel(pixels), 0.05);
}

TEST(OdeLikelihoodTest, TheTraceOfACorrelatedModelIsRightOnAverageOverProbes) {
  const ImageDataset data = GaussianImages(1, 4, {.mean = 0, .deviation = 0.2});
  const NoiseSchedule schedule = Schedule();
  const PairedGaussian::Options gaussian = {
      .micro_batch = 1, .side = 4, .mean = 0, .variance = 0.04, .covariance = 0.03};
  const NoiseAngles angles = *NoiseAngles::Create(schedule);
  double sum = 0, squares = 0;
  constexpr uint64_t kProbes = 200;
  for (uint64_t seed = 0; seed < kProbes; ++seed) {
    PairedGaussian network(schedule, gaussian);
    const int64_t index = 0, label = 0;
    auto bits = OdeBitsPerDim({.method = OdeMethod::kRk4, .steps = 40, .seed = seed}, angles, data,
                              {&index, 1}, {&label, 1}, &network);
    ASSERT_TRUE(bits.ok()) << bits.status();
    const double difference = (*bits)[0] - ExactBits(data, 0, angles, gaussian, seed);
    sum += difference;
    squares += difference * difference;
  }
  const double mean = sum / kProbes;
  const double error = std::sqrt((squares / kProbes - mean * mean) / kProbes);
  EXPECT_GT(error, 0.005);  // One probe is not exact here.
  EXPECT_NEAR(mean, 0, 4 * error);
}

// log2 of how much the error falls when steps double.
double MeasuredOrder(OdeMethod method, int64_t steps) {
  const ImageDataset data = GaussianImages(1, 2, {.mean = 0.3, .deviation = 0.3});
  const NoiseSchedule schedule = Schedule();
  const PairedGaussian::Options gaussian = {
      .micro_batch = 1, .side = 2, .mean = 0.3, .variance = 0.09};
  const auto bits = [&](OdeMethod how, int64_t count) {
    return Bits({.method = how, .steps = count}, data, schedule, gaussian)[0];
  };
  const double best = bits(OdeMethod::kRk4, 2000);
  return std::log2(std::abs(bits(method, steps) - best) / std::abs(bits(method, 2 * steps) - best));
}

TEST(OdeLikelihoodTest, SolversConvergeAtTheirOrder) {
  EXPECT_NEAR(MeasuredOrder(OdeMethod::kHeun, 25), 2, 0.3);
  // Few steps: it soon meets the precision of float32.
  EXPECT_GT(MeasuredOrder(OdeMethod::kRk4, 6), 3.5);
}

// The same model, told log(sigma) / 4.
class ToldLogSigma4 : public PairedGaussian {
 public:
  ToldLogSigma4(const NoiseSchedule& schedule, const Options& options)
      : PairedGaussian(schedule, options), angles_(*NoiseAngles::Create(schedule)) {}
  absl::Status Evaluate(std::span<const float> x, std::span<const float> told,
                        std::span<const int64_t> labels, std::span<const float> probe,
                        std::span<float> f, std::span<float> vjp) override {
    std::vector<float> timesteps;
    for (const float level : told) {
      const double phi = std::atan(std::exp(4 * static_cast<double>(level)));
      timesteps.push_back(static_cast<float>(angles_.TimestepAt(phi)));
    }
    return PairedGaussian::Evaluate(x, timesteps, labels, probe, f, vjp);
  }

 private:
  const NoiseAngles angles_;
};

TEST(OdeLikelihoodTest, AModelThatIsToldTheLogarithmOfSigmaIsToldIt) {
  const ImageDataset data = GaussianImages(1, 4, {.mean = 0.1, .deviation = 0.2});
  const NoiseSchedule schedule = Schedule("linear");
  const PairedGaussian::Options gaussian = {
      .side = 4, .mean = 0.1, .variance = 0.04, .prediction_type = PredictionType::kVelocity};
  OdeOptions options = {.steps = 40, .prediction_type = PredictionType::kVelocity};
  const double expected = Bits(options, data, schedule, gaussian)[0];
  options.tells_log_sigma = true;
  ToldLogSigma4 network(schedule, gaussian);
  const int64_t index = 0, label = 0;
  const auto bits = OdeBitsPerDim(options, *NoiseAngles::Create(schedule), data, {&index, 1},
                                  {&label, 1}, &network);
  ASSERT_TRUE(bits.ok()) << bits.status();
  EXPECT_NEAR((*bits)[0], expected, 1e-3);
}

TEST(OdeLikelihoodTest, MethodsAreNamed) {
  EXPECT_EQ(*ParseOdeMethod("heun"), OdeMethod::kHeun);
  EXPECT_EQ(*ParseOdeMethod("rk4"), OdeMethod::kRk4);
  EXPECT_NE(ParseOdeMethod("euler").status().message().find("\"euler\""), std::string::npos);
}

TEST(OdeLikelihoodTest, ANetworkThatFailsOrIsNotFiniteIsAnError) {
  class Broken : public PairedGaussian {
   public:
    using PairedGaussian::PairedGaussian;
    absl::Status Evaluate(std::span<const float>, std::span<const float>, std::span<const int64_t>,
                          std::span<const float>, std::span<float> f,
                          std::span<float> vjp) override {
      for (float& value : f) value = 0;
      for (float& value : vjp) value = std::nanf("");
      return absl::OkStatus();
    }
  };
  const ImageDataset data = GaussianImages(1, 4, {});
  Broken network(Schedule(), {});
  const int64_t index = 0, label = 0;
  const auto status =
      OdeBitsPerDim({}, *NoiseAngles::Create(Schedule()), data, {&index, 1}, {&label, 1}, &network)
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_NE(status.message().find("timestep 0"), std::string::npos) << status;
}

}  // namespace
}  // namespace diffusiond
