// Pseudo numerical methods on manifolds: Liu et al. 2022, algorithm 2 (pseudo linear multistep,
// equation 12) started by three pseudo Runge-Kutta steps (equation 13) of four evaluations, or,
// with skip_prk_steps, by the lower orders of the multistep (F-PNDM is the former, S-PNDM's start
// the latter). The transfer from t to t - delta is their equation 11, which is DDIM's.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/diffusion/parameterization.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"

namespace diffusiond {
namespace {

// Steps of the Runge-Kutta start.
constexpr int kStartSteps = 3;

// x, x at the step's start, the sum of a Runge-Kutta step's slopes, the last three epsilons.
constexpr int kRegisters = 6;

class Pndm {
 public:
  Pndm(const ModelSchedule& model, const SamplingOptions& options, std::vector<int64_t> timesteps)
      : model_(model),
        options_(options),
        timesteps_(std::move(timesteps)),
        stride_(model.schedule.num_train_timesteps() / options.steps) {
    plan_.registers = kRegisters;
    plan_.steps = static_cast<int>(timesteps_.size());
  }

  SamplingPlan Compile() {
    size_t first = 0;
    if (options_.skip_prk_steps) {
      AddFirstTwice();
      first = 1;
    } else {
      for (; first < kStartSteps; ++first) AddRungeKutta(first);
    }
    for (size_t i = first; i < timesteps_.size(); ++i) AddMultistep(i);
    return std::move(plan_);
  }

 private:
  double AlphaBar(int64_t t) const {
    if (t >= 0) return model_.schedule.alpha_bar(t);
    return model_.set_alpha_to_one ? 1 : model_.schedule.alpha_bar(0);
  }

  // A row that asks the network at t; epsilon is what it answers, from D.
  PlanRow RowAt(int64_t t, LinearExpression* epsilon) const {
    const double alpha_bar = AlphaBar(t);
    *epsilon = 1 / std::sqrt(1 - alpha_bar) * (columns_.x() - std::sqrt(alpha_bar) * columns_.d());
    return VariancePreservingRow(model_, options_, alpha_bar, static_cast<double>(t));
  }

  // Equation 11: from x at `from` to `to` along epsilon.
  LinearExpression Transfer(const LinearExpression& x, int64_t from, int64_t to,
                            const LinearExpression& epsilon) const {
    const double a = AlphaBar(from), b = AlphaBar(to);
    const double slope = (b - a) / (a * std::sqrt(1 - b) + std::sqrt(a * (1 - a) * b));
    return std::sqrt(b / a) * x - slope * epsilon;
  }

  void Add(PlanRow row, const std::array<LinearExpression, kRegisters>& next, int64_t next_timestep,
           bool ends_step) {
    columns_.SetUpdate(next, &row);
    row.next_timestep = static_cast<double>(std::max<int64_t>(next_timestep, 0));
    row.ends_step = ends_step;
    plan_.rows.push_back(std::move(row));
  }

  // From timesteps_[i] to timesteps_[i + 1]: slopes at the start, twice half-way, and at the end.
  void AddRungeKutta(size_t i) {
    const int64_t start = timesteps_[i], end = timesteps_[i + 1];
    const int64_t half = stride_ / 2;
    const int64_t asked[] = {start, end + half, end + half, end};
    const int64_t reached[] = {start - half, end + half, end, end};
    constexpr double kWeights[] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6};
    for (int k = 0; k < 4; ++k) {
      LinearExpression epsilon;
      PlanRow row = RowAt(asked[k], &epsilon);
      const LinearExpression x0 = k == 0 ? columns_.x() : columns_.saved(1);
      const LinearExpression sum =
          (k == 0 ? LinearExpression() : columns_.saved(2)) + kWeights[k] * epsilon;
      const LinearExpression slope = k == 3 ? sum : epsilon;
      std::array<LinearExpression, kRegisters> next = {Transfer(x0, start, reached[k], slope), x0,
                                                       sum};
      KeepEpsilons(k == 0 ? &epsilon : nullptr, &next);
      Add(std::move(row), next, reached[k], /*ends_step=*/k == 3);
    }
    epsilons_ += 1;
  }

  // The first step by Heun's rule: the network is asked at both ends, the second time without a
  // step of its own.
  void AddFirstTwice() {
    const int64_t start = timesteps_[0], end = start - stride_;
    LinearExpression epsilon;
    PlanRow row = RowAt(start, &epsilon);
    const LinearExpression x = columns_.x();
    std::array<LinearExpression, kRegisters> next = {Transfer(x, start, end, epsilon), x};
    KeepEpsilons(&epsilon, &next);
    epsilons_ = 1;
    const bool only = timesteps_.size() == 1;
    Add(std::move(row), next, only ? 0 : timesteps_[1], /*ends_step=*/only);
    if (only) return;

    // The peer counts the stride back from where the second evaluation stands.
    const int64_t second = timesteps_[1];
    row = RowAt(second, &epsilon);
    next = {
        Transfer(columns_.saved(1), second + stride_, second, 0.5 * (epsilon + columns_.saved(3)))};
    KeepEpsilons(nullptr, &next);
    Add(std::move(row), next, second, /*ends_step=*/true);
  }

  // From timesteps_[i] down by the stride, with the epsilons known so far.
  void AddMultistep(size_t i) {
    const int64_t t = timesteps_[i];
    LinearExpression now;
    PlanRow row = RowAt(t, &now);
    const auto past = [this](int k) { return columns_.saved(2 + k); };
    LinearExpression epsilon;
    if (epsilons_ == 0) {
      epsilon = now;
    } else if (epsilons_ == 1) {
      epsilon = 0.5 * (3 * now - past(1));
    } else if (epsilons_ == 2) {
      epsilon = 1.0 / 12 * (23 * now - 16 * past(1) + 5 * past(2));
    } else {
      epsilon = 1.0 / 24 * (55 * now - 59 * past(1) + 37 * past(2) - 9 * past(3));
    }
    std::array<LinearExpression, kRegisters> next = {
        Transfer(columns_.x(), t, t - stride_, epsilon)};
    KeepEpsilons(&now, &next);
    epsilons_ += 1;
    const bool last = i + 1 == timesteps_.size();
    Add(std::move(row), next, last ? 0 : timesteps_[i + 1], /*ends_step=*/true);
  }

  // The last epsilons, latest first; `now` null: as they were.
  void KeepEpsilons(const LinearExpression* now,
                    std::array<LinearExpression, kRegisters>* next) const {
    for (size_t k = 3; k < kRegisters; ++k) {
      (*next)[k] = columns_.saved(static_cast<int>(now == nullptr ? k : k - 1));
    }
    if (now != nullptr) (*next)[3] = *now;
  }

  const ModelSchedule& model_;
  const SamplingOptions& options_;
  const std::vector<int64_t> timesteps_;
  const int64_t stride_;
  const PlanColumns columns_{kRegisters};
  int epsilons_ = 0;  // Known before the next row.
  SamplingPlan plan_;
};

absl::StatusOr<SamplingPlan> CompilePndm(const ModelSchedule& model,
                                         const SamplingOptions& options) {
  const int64_t t_count = model.schedule.num_train_timesteps();
  absl::StatusOr<std::vector<int64_t>> timesteps = VisitedTimesteps(model, options);
  if (!timesteps.ok()) return timesteps.status();
  const int64_t visited = static_cast<int64_t>(timesteps->size());
  if (!options.skip_prk_steps && (visited <= kStartSteps || options.steps > t_count / 2)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "steps is ", visited, "; with sampler pndm and skip_prk_steps false it must be ",
        kStartSteps + 1, " .. ", t_count / 2, ", as the start goes in half steps"));
  }
  return Pndm(model, options, *std::move(timesteps)).Compile();
}

}  // namespace

const Sampler& PndmSampler() {
  static const auto& sampler = *new Sampler{
      .name = "pndm",
      .description =
          "pseudo linear multistep of order 4, with or without a Runge-Kutta start (Liu "
          "et al. 2022, algorithm 2)",
      .options = {"timestep_spacing", "skip_prk_steps", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .compile = CompilePndm};
  return sampler;
}

}  // namespace diffusiond
