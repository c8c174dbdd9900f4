#include "model/cpu_network/time_layers.h"

#include <cmath>
#include <numbers>

namespace diffusiond {
namespace {

// The sum of x^i / i! over i = first, first + step, ..., up to 19, with alternating signs for a
// negative `sign`; over x^first.
double Series(double square, int first, int step, double sign) {
  double sum = 0;
  double factorial[20] = {1};
  for (int i = 1; i < 20; ++i) factorial[i] = factorial[i - 1] * i;
  int last = first;
  while (last + step < 20) last += step;
  for (int i = last; i >= first; i -= step) {
    const bool negative = sign < 0 && (i - first) / step % 2 == 1;
    sum = std::fma(sum, square, (negative ? -1 : 1) / factorial[i]);
  }
  return sum;
}

// The quarter turn that x is in, and what is left, at most an eighth.
double Reduce(double x, int* quarter) {
  constexpr double kHalfPi = 1.57079632679489661923, kRest = 6.12323399573676603587e-17;
  const double turns = std::nearbyint(x * (2 / std::numbers::pi));
  *quarter = static_cast<int>(std::fmod(turns, 4));
  return std::fma(-turns, kRest, std::fma(-turns, kHalfPi, x));
}

double SinOfTurned(double x, int quarters_more) {
  int quarter;
  const double r = Reduce(x, &quarter), square = r * r;
  const int turned = ((quarter + quarters_more) % 4 + 4) % 4;
  const double value = turned % 2 == 0 ? r * Series(square, 1, 2, -1) : Series(square, 0, 2, -1);
  return turned < 2 ? value : -value;
}

}  // namespace

double FusedExp(double x) {
  constexpr double kLn2 = 0.69314718055994528623, kRest = 2.3190468138462995584e-17;
  const double n = std::nearbyint(x * std::numbers::log2e);
  const double r = std::fma(-n, kRest, std::fma(-n, kLn2, x));
  return std::ldexp(Series(r, 0, 1, 1), static_cast<int>(n));
}

double FusedSin(double x) { return SinOfTurned(x, 0); }
double FusedCos(double x) { return SinOfTurned(x, 1); }

SinusoidLayer::SinusoidLayer(const Slot& out, bool flip_sin_to_cos, size_t freq_shift)
    : out_(out), flip_sin_to_cos_(flip_sin_to_cos) {
  constexpr double kLogOf10000 = 9.21034037197618273607;
  const size_t half = out.channels / 2;
  for (size_t i = 0; i < half; ++i) {
    frequencies_.push_back(
        FusedExp(-kLogOf10000 * static_cast<double>(i) / static_cast<double>(half - freq_shift)));
  }
}

void SinusoidLayer::Run(const LayerRun& run) const {
  const size_t half = frequencies_.size();
  const Part share = ShareOf(half, run.thread, run.threads);
  for (size_t row = 0; row < run.rows; ++row) {
    float* to = run.Row(out_, row);
    for (size_t i = share.begin; i < share.end; ++i) {
      const double angle = static_cast<double>(run.timesteps[row]) * frequencies_[i];
      to[flip_sin_to_cos_ ? half + i : i] = static_cast<float>(FusedSin(angle));
      to[flip_sin_to_cos_ ? i : half + i] = static_cast<float>(FusedCos(angle));
    }
  }
}

void EmbeddingSiluLayer::Run(const LayerRun& run) const {
  if (run.thread != 0) return;  // Not worth sharing.
  for (size_t row = 0; row < run.rows; ++row) {
    float* x = run.Row(x_, row);
    if (!classes_.empty()) {
      const float* of_class = classes_.data() + static_cast<size_t>(run.labels[row]) * x_.channels;
      for (size_t i = 0; i < x_.channels; ++i) x[i] += of_class[i];
    }
    SiluInPlace(x, x_.stride());
  }
}

}  // namespace diffusiond
