#include "model/sampling/guidance.h"

#include <cmath>
#include <cstddef>

namespace diffusiond {
namespace {

double StandardDeviation(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const double n = static_cast<double>(values.size());
  return std::sqrt(std::fmax(0, squares / n - sum / n * (sum / n)));
}

}  // namespace

void Guide(const Guidance& guidance, std::span<const float> f_null, std::span<float> f) {
  const double before = guidance.rescale > 0 ? StandardDeviation(f) : 0;
  const float scale = static_cast<float>(guidance.scale);
  for (size_t i = 0; i < f.size(); ++i) f[i] = f_null[i] + scale * (f[i] - f_null[i]);
  if (guidance.rescale <= 0) return;
  const double after = StandardDeviation(f);
  if (!(after > 0)) return;
  const float factor =
      static_cast<float>(guidance.rescale * before / after + (1 - guidance.rescale));
  for (float& value : f) value *= factor;
}

void GuideByClassifier(const Guidance& guidance, const PlanRow& row,
                       std::span<const float> gradient, std::span<float> f) {
  const float scale = static_cast<float>(guidance.classifier_scale * row.noise * row.noise *
                                         row.c_in / (row.signal * row.d_f));
  for (size_t i = 0; i < f.size(); ++i) f[i] += scale * gradient[i];
}

}  // namespace diffusiond
