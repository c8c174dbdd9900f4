#include "model/cpu_network/attention_projections.h"

#include <cstddef>

namespace diffusiond {
namespace {

std::vector<float> Transposed(const std::vector<float>& matrix, size_t side) {
  std::vector<float> transposed(matrix.size());
  for (size_t i = 0; i < side; ++i) {
    for (size_t j = 0; j < side; ++j) transposed[j * side + i] = matrix[i * side + j];
  }
  return transposed;
}

// scale left (weights x + bias) + more.
Linear After(const std::vector<float>& left, const Linear& right, double scale,
             const std::vector<float>& more) {
  const size_t side = right.bias.size();
  Linear product = {.weights = std::vector<float>(side * side), .bias = std::vector<float>(side)};
  std::vector<double> row(side);
  for (size_t out = 0; out < side; ++out) {
    row.assign(side, 0);
    double bias = 0;
    for (size_t inner = 0; inner < side; ++inner) {
      const double factor = left[out * side + inner];
      const float* const from = right.weights.data() + inner * side;
      for (size_t in = 0; in < side; ++in) row[in] += factor * double{from[in]};
      bias += factor * double{right.bias[inner]};
    }
    for (size_t in = 0; in < side; ++in) {
      product.weights[out * side + in] = static_cast<float>(scale * row[in]);
    }
    product.bias[out] = static_cast<float>(scale * bias + more[out]);
  }
  return product;
}

}  // namespace

void ScaleQueries(double scale, AttentionProjections* projections) {
  for (std::vector<float>* values : {&projections->q.weights, &projections->q.bias}) {
    for (float& value : *values) value = static_cast<float>(value * scale);
  }
}

void MergeProjections(double scale, AttentionProjections* projections) {
  auto& [q, k, v, out] = *projections;
  const size_t side = q.bias.size();
  q = After(Transposed(k.weights, side), q, scale, std::vector<float>(side));
  out = After(out.weights, v, 1, out.bias);
  k = v = Linear();
}

}  // namespace diffusiond
