#include "model/evaluation/feature_statistics.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// Rows of a distance matrix in memory at once.
constexpr int64_t kRowsAtOnce = 512;

torch::Tensor Matrix(const std::vector<float>& values, int64_t rows, int64_t columns) {
  return torch::from_blob(const_cast<float*>(values.data()), {rows, columns}, torch::kFloat32);
}

torch::Tensor Matrix(const std::vector<double>& values, int64_t rows, int64_t columns) {
  return torch::from_blob(const_cast<double*>(values.data()), {rows, columns}, torch::kFloat64);
}

torch::Tensor FeatureMatrix(const ImageFeatures& features) {
  return Matrix(features.values, features.images, features.dimensions);
}

std::vector<double> ToVector(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.contiguous().view(-1);
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

// Euclidean, exact: the way by a matrix product loses the small ones to cancellation.
torch::Tensor Distances(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::cdist(a, b, 2, /*compute_mode=*/2);
}

// For each row, the distance to its `neighbours`-th nearest other row.
torch::Tensor Radii(const torch::Tensor& rows, int neighbours) {
  std::vector<torch::Tensor> radii;
  for (int64_t begin = 0; begin < rows.size(0); begin += kRowsAtOnce) {
    const torch::Tensor part = rows.narrow(0, begin, std::min(kRowsAtOnce, rows.size(0) - begin));
    // The nearest of all is the row itself.
    radii.push_back(std::get<0>(Distances(part, rows).kthvalue(neighbours + 1, 1)));
  }
  return torch::cat(radii);
}

// The share of `points` that lie in a ball around one of `centres`.
double Covered(const torch::Tensor& points, const torch::Tensor& centres,
               const torch::Tensor& radii) {
  int64_t inside = 0;
  for (int64_t begin = 0; begin < points.size(0); begin += kRowsAtOnce) {
    const torch::Tensor part =
        points.narrow(0, begin, std::min(kRowsAtOnce, points.size(0) - begin));
    inside += Distances(part, centres).le(radii.unsqueeze(0)).any(1).sum().item<int64_t>();
  }
  return static_cast<double>(inside) / static_cast<double>(points.size(0));
}

}  // namespace

absl::StatusOr<GaussianMoments> MomentsOf(const ImageFeatures& features) {
  if (features.images < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("a covariance takes at least 2 images; there are ", features.images));
  }
  const torch::Tensor matrix = FeatureMatrix(features).to(torch::kFloat64);
  const torch::Tensor mean = matrix.mean(0);
  const torch::Tensor centred = matrix - mean;
  return GaussianMoments{
      ToVector(mean), ToVector(centred.t().mm(centred) / static_cast<double>(features.images - 1))};
}

double FrechetDistance(const GaussianMoments& a, const GaussianMoments& b) {
  const auto d = static_cast<int64_t>(a.mean.size());
  const torch::Tensor c1 = Matrix(a.covariance, d, d), c2 = Matrix(b.covariance, d, d);
  const auto [values, vectors] = at::linalg_eigh(c1);
  const torch::Tensor root = vectors.mul(values.clamp_min(0).sqrt()).mm(vectors.t());
  const torch::Tensor product = root.mm(c2).mm(root);
  const torch::Tensor symmetric = (product + product.t()) / 2;
  const double root_trace = at::linalg_eigvalsh(symmetric).clamp_min(0).sqrt().sum().item<double>();
  const torch::Tensor difference = Matrix(a.mean, 1, d) - Matrix(b.mean, 1, d);
  return difference.square().sum().item<double>() + c1.trace().item<double>() +
         c2.trace().item<double>() - 2 * root_trace;
}

absl::StatusOr<InceptionScore> InceptionScoreOf(const ImageFeatures& features, int splits) {
  if (features.classes == 0) {
    return absl::InvalidArgumentError("the feature network gives no class scores");
  }
  if (splits < 1 || features.images < splits) {
    return absl::InvalidArgumentError(
        absl::StrCat("splits is ", splits, "; it must be 1 .. ", features.images));
  }
  const torch::Tensor log_p = torch::log_softmax(
      Matrix(features.log_scores, features.images, features.classes).to(torch::kFloat64), 1);
  std::vector<double> scores;
  for (int64_t split = 0; split < splits; ++split) {
    const int64_t begin = split * features.images / splits;
    const int64_t end = (split + 1) * features.images / splits;
    const torch::Tensor part = log_p.narrow(0, begin, end - begin);
    const torch::Tensor log_marginal =
        torch::logsumexp(part, {0}) - std::log(static_cast<double>(end - begin));
    // p log p is 0 where p is.
    const torch::Tensor p = part.exp();
    const torch::Tensor terms =
        torch::where(p > 0, p * (part - log_marginal), torch::zeros_like(p));
    scores.push_back(std::exp(terms.sum(1).mean().item<double>()));
  }
  InceptionScore score;
  for (const double value : scores) score.mean += value / splits;
  double squares = 0;
  for (const double value : scores) squares += (value - score.mean) * (value - score.mean);
  score.deviation = std::sqrt(squares / splits);
  return score;
}

absl::StatusOr<PrecisionRecall> PrecisionRecallOf(const ImageFeatures& drawn,
                                                  const ImageFeatures& real, int neighbours) {
  const int64_t least = std::min(drawn.images, real.images);
  if (neighbours < 1 || neighbours >= least) {
    return absl::InvalidArgumentError(absl::StrCat("neighbours is ", neighbours,
                                                   "; it must be 1 .. ", least - 1,
                                                   ", below the number of images"));
  }
  const torch::Tensor drawn_rows = FeatureMatrix(drawn), real_rows = FeatureMatrix(real);
  return PrecisionRecall{Covered(drawn_rows, real_rows, Radii(real_rows, neighbours)),
                         Covered(real_rows, drawn_rows, Radii(drawn_rows, neighbours))};
}

std::vector<FeatureNeighbour> NearestByFeatures(const ImageFeatures& of, int64_t index,
                                                const ImageFeatures& among, int64_t count) {
  const torch::Tensor distances =
      Distances(FeatureMatrix(of).narrow(0, index, 1), FeatureMatrix(among)).view(-1);
  const auto [values, indices] =
      distances.topk(std::min(count, among.images), 0, /*largest=*/false, /*sorted=*/true);
  std::vector<FeatureNeighbour> nearest;
  for (int64_t i = 0; i < values.numel(); ++i) {
    nearest.push_back({indices[i].item<int64_t>(), values[i].item<double>()});
  }
  return nearest;
}

}  // namespace diffusiond
