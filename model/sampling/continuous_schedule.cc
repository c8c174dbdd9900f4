#include "model/sampling/continuous_schedule.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace diffusiond {

// One cubic, by its values and slopes at both ends, and where in it t is: 0 .. 1.
struct ContinuousSchedule::Piece {
  double low, high, slope_low, slope_high, part;
};

ContinuousSchedule::ContinuousSchedule(const NoiseSchedule& schedule) : knots_{0} {
  // From the betas: differences of the rounded alphas_cumprod would be rough.
  for (const double beta : schedule.betas()) {
    knots_.push_back(knots_.back() - std::log1p(-beta));
  }
  // Central differences, and at the ends those of the parabola through three knots. No slope above
  // three times a neighbouring secant: what keeps a cubic monotone.
  const size_t last = knots_.size() - 1;
  const auto secant = [this](size_t i) { return knots_[i + 1] - knots_[i]; };
  const auto limit = [](double slope, double secant) { return std::clamp(slope, 0.0, 3 * secant); };
  if (last == 1) {
    slopes_ = {secant(0), secant(0)};
    return;
  }
  slopes_.push_back(limit((3 * secant(0) - secant(1)) / 2, secant(0)));
  for (size_t i = 1; i < last; ++i) {
    slopes_.push_back(limit((secant(i - 1) + secant(i)) / 2, std::min(secant(i - 1), secant(i))));
  }
  slopes_.push_back(limit((3 * secant(last - 1) - secant(last - 2)) / 2, secant(last - 1)));
}

ContinuousSchedule::Piece ContinuousSchedule::PieceAt(double t) const {
  const double position = t + 1;
  const size_t i = std::min(static_cast<size_t>(position), knots_.size() - 2);
  return {knots_[i], knots_[i + 1], slopes_[i], slopes_[i + 1], position - static_cast<double>(i)};
}

double ContinuousSchedule::alpha_bar(double t) const {
  const Piece p = PieceAt(t);
  const double u = p.part, v = 1 - u;
  return std::exp(-(v * v * ((1 + 2 * u) * p.low + u * p.slope_low) +
                    u * u * ((1 + 2 * v) * p.high - v * p.slope_high)));
}

double ContinuousSchedule::beta(double t) const {
  const Piece p = PieceAt(t);
  const double u = p.part, v = 1 - u;
  return 6 * u * v * (p.high - p.low) + v * (v - 2 * u) * p.slope_low +
         u * (u - 2 * v) * p.slope_high;
}

}  // namespace diffusiond
