// UniPC, a unified predictor-corrector for orders 1 to 3: Zhao et al. 2023, equation 3 (UniP) and
// algorithm 1 (UniC), B(h) = h ("bh1") or e^h - 1 ("bh2"), on the data prediction D (their
// appendix A.2) or on epsilon. The corrector of a step needs the network at the step's end, so it
// is folded into the next row: one evaluation a step.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr int kMaxOrder = 3;

absl::Status Check(const SamplingOptions& options) {
  if (options.final_sigmas_type != FinalSigmas::kZero) return absl::OkStatus();
  const char* const needs =
      "; with sampler unipc it needs final_sigmas_type sigma_min, as the "
      "last step to sigma 0 is not finite";
  if (options.solver_type == SolverType::kBh1) {
    return absl::InvalidArgumentError(absl::StrCat("solver_type is \"bh1\"", needs));
  }
  if (!options.predict_x0) {
    return absl::InvalidArgumentError(absl::StrCat("predict_x0 is false", needs));
  }
  if (!options.lower_order_final && options.solver_order > 1) {
    return absl::InvalidArgumentError(absl::StrCat("lower_order_final is false", needs));
  }
  return absl::OkStatus();
}

// Solves sum over j of r[j]^i w[j] = b[i], i = 0 .. n - 1, by elimination.
std::vector<double> SolveVandermonde(const std::vector<double>& r, const std::vector<double>& b,
                                     int n) {
  std::array<std::array<double, kMaxOrder + 1>, kMaxOrder> m{};
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) m[i][j] = std::pow(r[static_cast<size_t>(j)], i);
    m[i][n] = b[static_cast<size_t>(i)];
  }
  for (int k = 0; k < n; ++k) {
    int pivot = k;
    for (int i = k + 1; i < n; ++i) {
      if (std::abs(m[i][k]) > std::abs(m[pivot][k])) pivot = i;
    }
    std::swap(m[k], m[pivot]);
    for (int i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = m[i][k] / m[k][k];
      for (int j = k; j <= n; ++j) m[i][j] -= factor * m[k][j];
    }
  }
  std::vector<double> w;
  for (int k = 0; k < n; ++k) w.push_back(m[k][n] / m[k][k]);
  return w;
}

// One step from sigmas[i] to sigmas[i + 1], by predictor or corrector of one order.
class Step {
 public:
  Step(const SigmaLadder& ladder, const SamplingOptions& options, int i, int order)
      : x0_(options.predict_x0), order_(order) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    const double sigma_next = ladder.sigmas[static_cast<size_t>(i) + 1];
    const double alpha = 1 / std::sqrt(1 + sigma * sigma);
    const double alpha_next = 1 / std::sqrt(1 + sigma_next * sigma_next);
    // h is infinite, and expm1(-h) = -1, where sigma_next is 0: order 1 with bh2 alone gets there.
    const double h = std::log(sigma) - std::log(sigma_next);
    const double hh = x0_ ? -h : h;
    kept_ = x0_ ? sigma_next * alpha_next / (sigma * alpha) : alpha_next / alpha;
    scale_ = x0_ ? alpha_next : sigma_next * alpha_next;
    phi_1_ = std::expm1(hh);
    b_h_ = options.solver_type == SolverType::kBh1 ? hh : phi_1_;
    for (int k = 1; k < order; ++k) {
      r_.push_back((std::log(sigma) - std::log(ladder.sigmas[static_cast<size_t>(i - k)])) / h);
    }
    r_.push_back(1);
    double phi_k = phi_1_ / hh - 1, factorial = 1;
    for (int k = 1; k <= order; ++k) {
      b_.push_back(phi_k * factorial / b_h_);
      factorial *= k + 1;
      phi_k = phi_k / hh - 1 / factorial;
    }
  }

  // x and m[0] at the step's start, m[1], ... at the starts before.
  LinearExpression Predict(const LinearExpression& x,
                           const std::vector<LinearExpression>& m) const {
    if (phi_1_ == 0) return x;  // The same level twice, as diffusers has it.
    LinearExpression next = FirstOrder(x, m);
    if (order_ == 1) return next;
    const std::vector<double> w =
        order_ == 2 ? std::vector<double>{0.5} : SolveVandermonde(r_, b_, order_ - 1);
    return next - scale_ * b_h_ * Differences(m, w);
  }

  // `end` is the estimate at the step's end.
  LinearExpression Correct(const LinearExpression& x, const std::vector<LinearExpression>& m,
                           const LinearExpression& end) const {
    const std::vector<double> w =
        order_ == 1 ? std::vector<double>{0.5} : SolveVandermonde(r_, b_, order_);
    return FirstOrder(x, m) - scale_ * b_h_ * (Differences(m, w) + w.back() * (end - m[0]));
  }

 private:
  LinearExpression FirstOrder(const LinearExpression& x,
                              const std::vector<LinearExpression>& m) const {
    return kept_ * x - scale_ * phi_1_ * m[0];
  }
  LinearExpression Differences(const std::vector<LinearExpression>& m,
                               const std::vector<double>& w) const {
    LinearExpression sum;
    for (size_t k = 1; k < static_cast<size_t>(order_); ++k) {
      sum = sum + w[k - 1] / r_[k - 1] * (m[k] - m[0]);
    }
    return sum;
  }

  bool x0_;
  int order_;
  double kept_, scale_, phi_1_, b_h_;
  std::vector<double> r_, b_;
};

int Order(const SigmaLadder& ladder, const SamplingOptions& options, int i) {
  const int order = std::min(static_cast<int>(options.solver_order), i + 1);
  return options.lower_order_final ? std::min(order, ladder.steps() - i) : order;
}

absl::StatusOr<SamplingPlan> CompileUniPc(const ModelSchedule& model,
                                          const SamplingOptions& options) {
  RETURN_IF_ERROR(Check(options));
  ASSIGN_OR_RETURN(SigmaLadder ladder, SolverLadder(model, options, Rounding::kNearest));

  const int history = static_cast<int>(options.solver_order);
  SamplingPlan plan;
  plan.registers = 2 + history;  // x, the corrected x before, the last estimates, latest first.
  plan.steps = ladder.steps();
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    const double alpha = 1 / std::sqrt(1 + sigma * sigma);
    PlanRow row = VariancePreservingRow(model, options, alpha * alpha,
                                        ladder.timesteps[static_cast<size_t>(i)]);
    const LinearExpression estimate =
        options.predict_x0 ? columns.d()
                           : 1 / (sigma * alpha) * (columns.x() - alpha * columns.d());
    std::vector<LinearExpression> past;
    for (int k = 0; k < history; ++k) past.push_back(columns.saved(2 + k));
    LinearExpression x = columns.x();
    const auto& uncorrected = model.disable_corrector;
    if (i > 0 && std::find(uncorrected.begin(), uncorrected.end(), i - 1) == uncorrected.end()) {
      const Step step(ladder, options, i - 1, Order(ladder, options, i - 1));
      x = step.Correct(columns.saved(1), past, estimate);
    }
    std::vector<LinearExpression> m = {estimate};
    m.insert(m.end(), past.begin(), past.end() - 1);
    const Step step(ladder, options, i, Order(ladder, options, i));
    std::vector<LinearExpression> next = {step.Predict(x, m), x};
    next.insert(next.end(), m.begin(), m.end());
    columns.SetUpdate(next, &row);
    row.next_timestep = ladder.next_timestep(i);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& UniPcSampler() {
  static const auto& sampler = *new Sampler{
      .name = "unipc",
      .description = "UniPC predictor-corrector, order 1 to 3 (Zhao et al. 2023, algorithm 1)",
      .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "final_sigmas_type",
                  "solver_order", "solver_type", "lower_order_final", "predict_x0", "clip_sample",
                  "thresholding", "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {"bh2", "bh1"},
      .compile = CompileUniPc};
  return sampler;
}

}  // namespace diffusiond
