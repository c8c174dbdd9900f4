// How near drawn images are to real ones, by their features.
#ifndef DIFFUSIOND_MODEL_EVALUATION_FEATURE_STATISTICS_H_
#define DIFFUSIOND_MODEL_EVALUATION_FEATURE_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/evaluation/image_features.h"

namespace diffusiond {

struct GaussianMoments {
  std::vector<double> mean;        // [D].
  std::vector<double> covariance;  // [D, D], symmetric, with n - 1 in the denominator.
};

// INVALID_ARGUMENT for fewer than two images.
absl::StatusOr<GaussianMoments> MomentsOf(const ImageFeatures& features);

// |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)) (Heusel et al. 2017, equation 6): the squared
// Frechet (2-Wasserstein) distance of two Gaussians, of equal dimensions. The root's trace is that
// of (C_1^(1/2) C_2 C_1^(1/2))^(1/2), which is symmetric, so it is real for singular C too.
double FrechetDistance(const GaussianMoments& a, const GaussianMoments& b);

struct InceptionScore {
  double mean = 0;
  double deviation = 0;  // Over splits.
};

// exp(E KL(p(y | x) || p(y))) (Salimans et al. 2016, section 4), on each of `splits` equal parts of
// the images, in order. INVALID_ARGUMENT if there are no classes or fewer images than splits.
absl::StatusOr<InceptionScore> InceptionScoreOf(const ImageFeatures& features, int splits = 10);

// Improved precision and recall (Kynkaanniemi et al. 2019, equation 2): the share of drawn images
// inside the balls around real ones that reach to their `neighbours`-th nearest real one, and the
// share of real images inside those around drawn ones.
struct PrecisionRecall {
  double precision = 0;
  double recall = 0;
};

// INVALID_ARGUMENT if either has no more images than `neighbours`.
absl::StatusOr<PrecisionRecall> PrecisionRecallOf(const ImageFeatures& drawn,
                                                  const ImageFeatures& real, int neighbours = 3);

struct FeatureNeighbour {
  int64_t index = 0;
  double distance = 0;  // Euclidean.
};

// The `count` (or all, if fewer) of `among` nearest to image `index` of `of`, nearest first.
std::vector<FeatureNeighbour> NearestByFeatures(const ImageFeatures& of, int64_t index,
                                                const ImageFeatures& among, int64_t count);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_FEATURE_STATISTICS_H_
