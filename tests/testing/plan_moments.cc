#include "tests/testing/plan_moments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace diffusiond {
namespace {

using Vector = std::array<double, kMaxRegisters>;
using Matrix = std::array<Vector, kMaxRegisters>;

// new registers = matrix * registers + offset + noise * z.
struct AffineMap {
  Matrix matrix;
  Vector offset, noise;
};

AffineMap MapOf(const PlanRow& row, size_t registers, const GaussianData& data) {
  // D = slope * x + shift, and the F that gives it.
  const double variance = data.deviation * data.deviation;
  const double slope =
      row.signal * variance / (row.signal * row.signal * variance + row.noise * row.noise);
  const double shift = (1 - slope * row.signal) * data.mean;
  AffineMap map;
  for (size_t r = 0; r < registers; ++r) {
    const double* const weights = &row.update[r * (registers + 3)];
    const double d = weights[registers], f = weights[registers + 1], z = weights[registers + 2];
    std::copy(weights, weights + registers, map.matrix[r].begin());
    map.matrix[r][0] += d * slope + f * (slope - row.d_x) / row.d_f;
    map.offset[r] = d * shift + f * shift / row.d_f;
    map.noise[r] = z + d * row.d_z;
  }
  return map;
}

// matrix * covariance * transpose(matrix) + noise * transpose(noise).
Matrix Propagate(const AffineMap& map, const Matrix& covariance, size_t n) {
  Matrix half, whole;
  for (size_t r = 0; r < n; ++r) {
    for (size_t c = 0; c < n; ++c) {
      half[r][c] = 0;
      for (size_t k = 0; k < n; ++k) half[r][c] += map.matrix[r][k] * covariance[k][c];
    }
  }
  for (size_t r = 0; r < n; ++r) {
    for (size_t c = r; c < n; ++c) {
      whole[r][c] = map.noise[r] * map.noise[c];
      for (size_t k = 0; k < n; ++k) whole[r][c] += half[r][k] * map.matrix[c][k];
      whole[c][r] = whole[r][c];
    }
  }
  return whole;
}

}  // namespace

Moments Marginal(const GaussianData& data, double alpha_bar) {
  return {std::sqrt(alpha_bar) * data.mean,
          alpha_bar * data.deviation * data.deviation + 1 - alpha_bar};
}

double LevelOf(const PlanRow& row) {
  const double signal = row.signal * row.signal;
  return signal / (signal + row.noise * row.noise);
}

std::vector<Moments> PlanMoments(const SamplingPlan& plan, const GaussianData& data) {
  const size_t n = static_cast<size_t>(plan.registers);
  Vector mean{};
  Matrix covariance{};
  covariance[0][0] = plan.init_scale * plan.init_scale;
  std::vector<Moments> after;
  after.reserve(plan.rows.size());
  for (size_t i = 0; i < plan.rows.size(); ++i) {
    const AffineMap map = MapOf(plan.rows[i], n, data);
    Vector new_mean = map.offset;
    for (size_t r = 0; r < n; ++r) {
      for (size_t k = 0; k < n; ++k) new_mean[r] += map.matrix[r][k] * mean[k];
    }
    mean = new_mean;
    covariance = Propagate(map, covariance, n);
    const double scale = i + 1 < plan.rows.size() ? plan.rows[i + 1].c_in : 1;
    after.push_back({scale * mean[0], scale * scale * covariance[0][0]});
  }
  return after;
}

}  // namespace diffusiond
