#include "model/training/batches/timestep_sampling.h"

#include <gtest/gtest.h>
#include <string>

#include <cmath>
#include <numeric>
#include <vector>

namespace diffusiond {
namespace {

TEST(ImportanceTest, UniformUntilEveryHistoryIsFull) {
  std::vector<float> history = EmptyLossHistory(3);
  const std::vector<double> uniform(3, 1.0 / 3);
  for (size_t round = 0; round < kLossHistory; ++round) {
    EXPECT_EQ(ImportanceProbabilities(history), uniform);
    RecordLosses(std::vector<int64_t>{0, 1}, std::vector<float>{5, 1}, history);
  }
  for (size_t round = 0; round < kLossHistory; ++round) {
    EXPECT_EQ(ImportanceProbabilities(history), uniform);
    RecordLosses(std::vector<int64_t>{2}, std::vector<float>{1}, history);
  }
  EXPECT_NE(ImportanceProbabilities(history), uniform);
}

TEST(ImportanceTest, ProbabilitiesFollowTheRootOfTheMeanSquareOfTheLastTen) {
  std::vector<float> history = EmptyLossHistory(2);
  for (int i = 0; i < 20; ++i) {  // The first ten fall out.
    const float loss = i < 10 ? 1000 : (i % 2 == 0 ? 1 : 7);
    RecordLosses(std::vector<int64_t>{0, 1}, std::vector<float>{loss, 2}, history);
  }
  const auto p = ImportanceProbabilities(history);
  EXPECT_NEAR(p[0], 0.999 * 5 / 7 + 0.0005, 1e-9);  // sqrt((1 + 49) / 2) = 5, against 2.
  EXPECT_NEAR(p[0] + p[1], 1, 1e-12);
}

TEST(ImportanceTest, WeightedDrawsHaveTheUniformMean) {
  const std::vector<double> probabilities = {0.5, 0.1, 0.25, 0.15}, losses = {9, 2, 4, 1};
  std::vector<double> levels;
  for (int i = 0; i < 4000; ++i) levels.push_back((i + 0.5) / 4000);
  const WeightedTimesteps drawn = DrawByImportance(probabilities, levels);
  double mean = 0;
  std::vector<int> counts(4);
  for (size_t i = 0; i < levels.size(); ++i) {
    const auto t = static_cast<size_t>(drawn.timesteps[i]);
    ++counts[t];
    mean += drawn.weights[i] * losses[t] / 4000;
  }
  EXPECT_NEAR(mean, 4, 1e-3);
  EXPECT_EQ(counts, (std::vector<int>{2000, 400, 1000, 600}));
}

TEST(ImportanceTest, LevelsAtTheEdgesStayInRange) {
  const std::vector<double> thirds(3, 1.0 / 3);
  const auto drawn = DrawByImportance(thirds, std::vector<double>{0, 1 - 1e-16});
  EXPECT_EQ(drawn.timesteps, (std::vector<int64_t>{0, 2}));
}

TEST(TimestepSamplingTest, AFlagTakesItsWordsAlone) {
  TimestepSampling sampling = TimestepSampling::kUniform;
  std::string error;
  EXPECT_TRUE(AbslParseFlag("stratified", &sampling, &error));
  EXPECT_EQ(sampling, TimestepSampling::kStratified);
  EXPECT_EQ(AbslUnparseFlag(sampling), "stratified");
  EXPECT_FALSE(AbslParseFlag("sobol", &sampling, &error));
  EXPECT_EQ(error, "expected one of: uniform stratified importance");
}

}  // namespace
}  // namespace diffusiond
