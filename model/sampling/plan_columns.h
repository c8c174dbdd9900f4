// What a row's update matrix is written in: linear expressions of its columns, as in the papers.
#ifndef DIFFUSIOND_MODEL_SAMPLING_PLAN_COLUMNS_H_
#define DIFFUSIOND_MODEL_SAMPLING_PLAN_COLUMNS_H_

#include <array>
#include <cmath>
#include <cstddef>
#include <span>

#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// A weighted sum of [x, saved..., D, F, z]; no weights: 0.
struct LinearExpression {
  std::array<double, kMaxRegisters + 3> weights{};
};

inline LinearExpression operator*(double factor, LinearExpression e) {
  for (double& weight : e.weights) weight *= factor;
  return e;
}
inline LinearExpression operator+(LinearExpression a, const LinearExpression& b) {
  for (size_t i = 0; i < a.weights.size(); ++i) a.weights[i] += b.weights[i];
  return a;
}
inline LinearExpression operator-(const LinearExpression& a, const LinearExpression& b) {
  return a + -1.0 * b;
}

// The columns of a plan with `registers` registers, 1 .. kMaxRegisters.
class PlanColumns {
 public:
  explicit PlanColumns(int registers) : registers_(registers) {}

  LinearExpression x() const { return Column(0); }
  LinearExpression saved(int i) const { return Column(i); }  // 1 .. registers - 1.
  LinearExpression d() const { return Column(registers_); }
  LinearExpression f() const { return Column(registers_ + 1); }
  LinearExpression z() const { return Column(registers_ + 2); }

  // The score of x where it is x_t, from D: -eps / sqrt(1 - alpha_bar) (Song et al. 2021, section
  // 3.4; Tweedie's formula).
  LinearExpression Score(double alpha_bar) const {
    return 1 / (1 - alpha_bar) * (std::sqrt(alpha_bar) * d() - x());
  }

  // Fills row->update and row->draws_noise (after row->d_z): next[0] is the new x. Registers that
  // `next` does not reach become 0.
  void SetUpdate(std::span<const LinearExpression> next, PlanRow* row) const {
    const size_t columns = static_cast<size_t>(registers_) + 3;
    row->update.assign(static_cast<size_t>(registers_) * columns, 0);
    row->draws_noise = row->d_z != 0;
    for (size_t r = 0; r < next.size(); ++r) {
      for (size_t c = 0; c < columns; ++c) row->update[r * columns + c] = next[r].weights[c];
      if (next[r].weights[columns - 1] != 0) row->draws_noise = true;
    }
  }

 private:
  LinearExpression Column(int i) const {
    LinearExpression e;
    e.weights[static_cast<size_t>(i)] = 1;
    return e;
  }

  int registers_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_PLAN_COLUMNS_H_
