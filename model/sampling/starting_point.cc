#include "model/sampling/starting_point.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "model/sampling/row_noise.h"

namespace diffusiond {
namespace {

// Philox stream of the noise that what is kept gets; sampling itself draws from stream 0.
constexpr uint32_t kKeptStream = 0x4B455054;

double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// z turns by `part` of its angle to `other` (Shoemake 1985).
void Slerp(std::span<const float> other, double part, std::span<float> z) {
  const double cosine = Dot(z, other) / std::sqrt(Dot(z, z) * Dot(other, other));
  const double angle = std::acos(std::clamp(cosine, -1.0, 1.0));
  const double sine = std::sin(angle);
  // Of opposite or equal directions no circle is the one; equal ones need none.
  const double from = sine > 1e-6 ? std::sin((1 - part) * angle) / sine : 1 - part;
  const double to = sine > 1e-6 ? std::sin(part * angle) / sine : part;
  for (size_t i = 0; i < z.size(); ++i) {
    z[i] = static_cast<float>(from * z[i] + to * other[i]);
  }
}

}  // namespace

void Begin(const StartingPoint* start, const SamplingPlan& plan, NoiseKey key, std::span<float> x) {
  FillRowNoise(key.seed, key.image_index, kInitialNoiseRow, x);
  if (start != nullptr && start->noise != nullptr) {
    std::copy(start->noise->begin(), start->noise->end(), x.begin());
  } else if (start != nullptr && start->morph_seed.has_value()) {
    std::vector<float> other(x.size());
    FillRowNoise(*start->morph_seed, key.image_index, kInitialNoiseRow, other);
    Slerp(other, start->morph, x);
  }
  if (start == nullptr || start->image == nullptr) {
    for (float& value : x) value *= static_cast<float>(plan.init_scale);
    return;
  }
  const float signal = static_cast<float>(plan.rows.front().signal);
  const float noise = static_cast<float>(plan.rows.front().noise);
  for (size_t i = 0; i < x.size(); ++i) x[i] = signal * (*start->image)[i] + noise * x[i];
}

void KeepKnown(const StartingPoint* start, const SamplingPlan& plan, int row, NoiseKey key,
               std::span<float> x) {
  if (start == nullptr || start->keep == nullptr) return;
  const bool done = row == static_cast<int>(plan.rows.size());
  std::vector<float> z(x.size());
  float signal = 1, noise = 0;
  if (!done) {
    signal = static_cast<float>(plan.rows[static_cast<size_t>(row)].signal);
    noise = static_cast<float>(plan.rows[static_cast<size_t>(row)].noise);
    FillRowNoise(key.seed, key.image_index, static_cast<uint32_t>(row), z, kKeptStream);
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const float keep = (*start->keep)[i];
    const float known = signal * (*start->image)[i] + noise * z[i];
    x[i] = keep * known + (1 - keep) * x[i];
  }
}

}  // namespace diffusiond
