#include "model/evaluation/feature_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "model/sampling/row_noise.h"

namespace diffusiond {
namespace {

// Points on a line or in a plane.
ImageFeatures Points(int64_t dimensions, std::vector<float> values) {
  ImageFeatures features;
  features.dimensions = dimensions;
  features.images = static_cast<int64_t>(values.size()) / dimensions;
  features.values = std::move(values);
  return features;
}

ImageFeatures Scores(int64_t classes, std::vector<float> log_scores) {
  ImageFeatures features;
  features.classes = classes;
  features.images = static_cast<int64_t>(log_scores.size()) / classes;
  features.log_scores = std::move(log_scores);
  return features;
}

TEST(FrechetDistanceTest, MatchesClosedForms) {
  // On a line: (m1 - m2)^2 + (s1 - s2)^2.
  EXPECT_NEAR(FrechetDistance({{1}, {4}}, {{-2}, {9}}), 9 + 1, 1e-12);
  EXPECT_NEAR(FrechetDistance({{0.3, 1}, {2, 0.5, 0.5, 1}}, {{0.3, 1}, {2, 0.5, 0.5, 1}}), 0,
              1e-12);
  // Covariances that commute: the sum of squared differences of deviations along the axes.
  EXPECT_NEAR(FrechetDistance({{0, 0}, {4, 0, 0, 9}}, {{0, 0}, {1, 0, 0, 16}}), 1 + 1, 1e-12);
  // Covariances that do not: in the plane the trace of M's root is sqrt(tr M + 2 sqrt(det M)), with
  // M = C1 C2 = [[2, 1], [3, 6]] here.
  const double root_trace = std::sqrt(8 + 2 * std::sqrt(9.0));
  EXPECT_NEAR(FrechetDistance({{0, 0}, {1, 0, 0, 3}}, {{0, 0}, {2, 1, 1, 2}}),
              4 + 4 - 2 * root_trace, 1e-12);
  // A covariance that has no inverse.
  EXPECT_NEAR(FrechetDistance({{0, 0}, {1, 0, 0, 0}}, {{0, 0}, {4, 0, 0, 0}}), 1, 1e-12);
}

TEST(FrechetDistanceTest, OfSamplesComesNearThatOfTheirDistributions) {
  constexpr size_t kImages = 20'000;
  std::vector<float> a(2 * kImages), b(2 * kImages);
  FillRowNoise(1, 0, 0, a);
  FillRowNoise(2, 0, 0, b);
  for (size_t i = 0; i < kImages; ++i) {
    a[2 * i] = 1 + 2 * a[2 * i];
    b[2 * i + 1] = 3 * b[2 * i + 1];
  }
  auto first = MomentsOf(Points(2, a)), second = MomentsOf(Points(2, b));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NEAR(first->mean[0], 1, 0.05);
  EXPECT_NEAR(first->covariance[0], 4, 0.1);
  EXPECT_NEAR(first->covariance[1], first->covariance[2], 1e-12);
  EXPECT_NEAR(FrechetDistance(*first, *second), 1 + 1 + 4, 0.15);
}

TEST(MomentsTest, OneImageHasNoCovariance) {
  EXPECT_NE(MomentsOf(Points(2, {1, 2})).status().message().find("there are 1"), std::string::npos);
}

TEST(InceptionScoreTest, IsTheNumberOfClassesForCertainAndEvenAnswersAndOneForUselessOnes) {
  const float no = -1e4f;
  const ImageFeatures certain = Scores(3, {0, no, no, no, 0, no, no, no, 0});
  EXPECT_NEAR(InceptionScoreOf(certain, 1)->mean, 3, 1e-9);
  EXPECT_NEAR(InceptionScoreOf(certain, 3)->mean, 1, 1e-9);  // Each part knows one class only.
  const ImageFeatures useless = Scores(3, {1, 1, 1, 5, 5, 5});
  EXPECT_NEAR(InceptionScoreOf(useless, 2)->mean, 1, 1e-9);
  // Two images, (3/4, 1/4) and (1/4, 3/4): exp(3/4 ln 3/2 + 1/4 ln 1/2).
  const float high = std::log(3.0f);
  EXPECT_NEAR(InceptionScoreOf(Scores(2, {high, 0, 0, high}), 1)->mean,
              std::exp(0.75 * std::log(1.5) + 0.25 * std::log(0.5)), 1e-6);
}

TEST(InceptionScoreTest, SaysHowPartsDiffer) {
  const float no = -1e4f;
  const auto score = InceptionScoreOf(Scores(2, {0, no, no, 0, 0, no, 0, no}), 2);
  ASSERT_TRUE(score.ok());
  EXPECT_NEAR(score->mean, 1.5, 1e-9);
  EXPECT_NEAR(score->deviation, 0.5, 1e-9);
}

TEST(InceptionScoreTest, WithoutClassesOrWithTooManySplitsIsRefused) {
  EXPECT_FALSE(InceptionScoreOf(Points(1, {1, 2}), 1).ok());
  EXPECT_NE(InceptionScoreOf(Scores(2, {0, 0}), 2).status().message().find("splits is 2"),
            std::string::npos);
}

TEST(PrecisionRecallTest, CountsWhatLiesInTheBallsAroundTheOthers) {
  // With k = 1 the balls around 0, 1 and 10 reach to 1, 1 and 9.
  const ImageFeatures real = Points(1, {0, 1, 10});
  // Inside: -1, 2 and 19; outside: -1.5 and 20.
  const ImageFeatures drawn = Points(1, {-1, 2, 19, -1.5f, 20});
  const auto both = PrecisionRecallOf(drawn, real, 1);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_DOUBLE_EQ(both->precision, 3.0 / 5);
  // Balls: -1 to 0.5 around, 2 to 3, 19 to 1, -1.5 to 0.5, 20 to 1: they hold 0 and 1 only.
  EXPECT_DOUBLE_EQ(both->recall, 2.0 / 3);
}

TEST(PrecisionRecallTest, ACollapsedModelIsPreciseAndRemembersLittle) {
  std::vector<float> real(400), drawn(400);
  FillRowNoise(3, 0, 0, real);
  FillRowNoise(4, 0, 0, drawn);
  for (float& value : drawn) value *= 0.05f;
  const auto both = PrecisionRecallOf(Points(2, drawn), Points(2, real));
  ASSERT_TRUE(both.ok());
  EXPECT_GT(both->precision, 0.95);
  EXPECT_LT(both->recall, 0.05);
}

TEST(PrecisionRecallTest, NeedsMoreImagesThanNeighbours) {
  const auto status = PrecisionRecallOf(Points(1, {0, 1, 2}), Points(1, {0, 1, 2, 3}), 3).status();
  EXPECT_NE(status.message().find("neighbours is 3; it must be 1 .. 2"), std::string::npos)
      << status;
}

TEST(NearestByFeaturesTest, GivesTheNearestFirst) {
  const ImageFeatures of = Points(2, {9, 9, 0, 0});
  const ImageFeatures among = Points(2, {3, 4, 0, 1, -2, 0});
  const auto nearest = NearestByFeatures(of, 1, among, 2);
  ASSERT_EQ(nearest.size(), 2u);
  EXPECT_EQ(nearest[0].index, 1);
  EXPECT_DOUBLE_EQ(nearest[0].distance, 1);
  EXPECT_EQ(nearest[1].index, 2);
  EXPECT_EQ(NearestByFeatures(of, 1, among, 10).size(), 3u);
}

}  // namespace
}  // namespace diffusiond
