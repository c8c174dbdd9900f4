#include "model/sampling/plan_update.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// The q-quantile, interpolated linearly between order statistics. Reorders `values`.
double Quantile(std::vector<float>& values, double q) {
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(position);
  const auto at = values.begin() + static_cast<ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  const double low = *at;
  if (below + 1 == values.size()) return low;
  const double high = *std::min_element(at + 1, values.end());
  return low + (position - static_cast<double>(below)) * (high - low);
}

// The s of dynamic thresholding for one image.
double Threshold(const PlanRow& row, std::span<const float> f, std::span<const float> z,
                 std::span<const float> x) {
  std::vector<float> magnitudes(f.size());
  for (size_t i = 0; i < f.size(); ++i) {
    const double noise = z.empty() ? 0 : z[i];
    magnitudes[i] = static_cast<float>(std::abs(row.d_x * x[i] + row.d_f * f[i] + row.d_z * noise));
  }
  return std::clamp(Quantile(magnitudes, row.threshold_quantile), 1.0, row.threshold_max);
}

}  // namespace

absl::Status ScaleRowNoise(const PlanRow& row, std::span<const float> g, std::span<float> z) {
  if (row.noise_scale == NoiseScale::kOne || z.empty()) return absl::OkStatus();
  if (g.size() != z.size()) {
    return absl::InternalError("the sampler needs a variance, and the network gives none");
  }
  for (size_t i = 0; i < z.size(); ++i) {
    const double scale = row.noise_scale == NoiseScale::kVariance
                             ? std::sqrt(double{g[i]})
                             : std::exp(0.5 * (row.log_variance + row.log_variance_g * g[i]));
    if (!std::isfinite(scale)) {
      return absl::InternalError(
          absl::StrCat("the network gives a variance of ", g[i], " at timestep ", row.timestep));
    }
    z[i] = static_cast<float>(scale * z[i]);
  }
  return absl::OkStatus();
}

void ApplyPlanRow(const SamplingPlan& plan, const PlanRow& row, std::span<const float> f,
                  std::span<const float> z, std::span<float> registers, std::span<float> d) {
  const size_t n = f.size();
  const int register_count = std::min(plan.registers, kMaxRegisters);
  const int columns = register_count + 3;
  const bool thresholds = row.threshold_quantile > 0;
  const double limit = thresholds ? Threshold(row, f, z, registers.first(n)) : row.clip_range;
  const double scale = thresholds ? 1 / limit : 1;
  for (size_t i = 0; i < n; ++i) {
    const double x = registers[i];
    const double noise = z.empty() ? 0 : z[i];
    const double clean =
        scale * std::clamp(row.d_x * x + row.d_f * f[i] + row.d_z * noise, -limit, limit);
    d[i] = static_cast<float>(clean);
    double in[kMaxRegisters + 3];
    for (int r = 0; r < register_count; ++r) in[r] = registers[static_cast<size_t>(r) * n + i];
    in[register_count] = clean;
    in[register_count + 1] = f[i];
    in[register_count + 2] = noise;
    for (int r = 0; r < register_count; ++r) {
      double sum = 0;
      for (int c = 0; c < columns; ++c) sum += row.update[r * columns + c] * in[c];
      registers[static_cast<size_t>(r) * n + i] = static_cast<float>(sum);
    }
  }
}

}  // namespace diffusiond
