// Pseudo numerical methods on manifolds: Liu et al. 2022, algorithm 2 (pseudo linear multistep,
// equation 12) started by three pseudo Runge-Kutta steps (equation 13) of four evaluations, or,
// with skip_prk_steps, by the lower orders of the multistep. The transfer from t to t - delta is
// their equation 11, which is DDIM's. On steps of unequal length the multistep has the weights of
// those steps; on equal ones they are the paper's.
//
// As diffusers: every step goes T / n down, and with skip_prk_steps the network is asked at both
// ends of the first.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/adams_bashforth.h"
#include "model/sampling/continuous_schedule.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Steps of the Runge-Kutta start.
constexpr int kStartSteps = 3;

// x, x at the step's start, the sum of a Runge-Kutta step's slopes, the last three epsilons.
constexpr int kRegisters = 6;

// The transfer grows x / sqrt(alpha_bar), and an error of epsilon with it. Where hardly more than
// noise is left (the cosine schedule begins at an alpha_bar of 2e-9) an epsilon averaged over the
// step would be lost in that: a step that grows the signal more takes the network's as it is.
constexpr double kMostGrowth = 16;

class Pndm {
 public:
  Pndm(const ModelSchedule& model, const SamplingOptions& options, std::vector<int64_t> timesteps)
      : model_(model),
        options_(options),
        schedule_(model.schedule),
        timesteps_(std::move(timesteps)),
        stride_(static_cast<double>(model.num_train_timesteps / options.steps)) {
    plan_.registers = kRegisters;
    plan_.steps = static_cast<int>(timesteps_.size());
  }

  SamplingPlan Compile() {
    const size_t steps = timesteps_.size();
    // A Runge-Kutta step asks the network at its end, which the last one's, the clean image, is
    // not.
    size_t runge_kutta = options_.skip_prk_steps ? 0 : std::min<size_t>(kStartSteps, steps - 1);
    size_t first = 0;
    if (AsDiffusers(options_) && options_.skip_prk_steps) {
      AddFirstTwice();
      first = 1;
    }
    for (size_t i = first; i < steps; ++i) {
      const bool grows = !AsDiffusers(options_) && Growth(i) > kMostGrowth;
      if (grows) {
        AddFirstOrder(i);
        runge_kutta = std::min(runge_kutta + 1, steps - 1);
      } else if (i < runge_kutta) {
        AddRungeKutta(i);
      } else {
        AddMultistep(i);
      }
    }
    return std::move(plan_);
  }

 private:
  double Next(size_t i) const {
    return static_cast<double>(NextTimestep(model_, options_, timesteps_, i));
  }

  double AlphaBar(double t) const {
    if (t < 0) return model_.set_alpha_to_one ? 1 : model_.schedule.alpha_bar(0);
    const double whole = std::floor(t);
    return whole == t ? model_.schedule.alpha_bar(static_cast<int64_t>(whole))
                      : schedule_.alpha_bar(t);
  }

  double Growth(size_t i) const {
    return std::sqrt(AlphaBar(Next(i)) / AlphaBar(static_cast<double>(timesteps_[i])));
  }

  // A row that asks the network at t; epsilon is what it answers, from D.
  PlanRow RowAt(double t, LinearExpression* epsilon) const {
    const double alpha_bar = AlphaBar(t);
    *epsilon = 1 / std::sqrt(1 - alpha_bar) * (columns_.x() - std::sqrt(alpha_bar) * columns_.d());
    return VariancePreservingRow(model_, options_, alpha_bar, t);
  }

  // Equation 11: from x at `from` to `to` along epsilon.
  LinearExpression Transfer(const LinearExpression& x, double from, double to,
                            const LinearExpression& epsilon) const {
    const double a = AlphaBar(from), b = AlphaBar(to);
    const double slope = (b - a) / (a * std::sqrt(1 - b) + std::sqrt(a * (1 - a) * b));
    return std::sqrt(b / a) * x - slope * epsilon;
  }

  void Add(PlanRow row, const std::array<LinearExpression, kRegisters>& next, double next_timestep,
           bool ends_step) {
    columns_.SetUpdate(next, &row);
    row.next_timestep = std::max(next_timestep, 0.0);
    row.ends_step = ends_step;
    plan_.rows.push_back(std::move(row));
  }

  // After step i.
  void AddStep(size_t i, PlanRow row, const std::array<LinearExpression, kRegisters>& next) {
    const bool last = i + 1 == timesteps_.size();
    Add(std::move(row), next, last ? 0 : static_cast<double>(timesteps_[i + 1]),
        /*ends_step=*/true);
  }

  // Equation 11 along this epsilon alone, from D: it needs no alpha_bar above 0.
  void AddFirstOrder(size_t i) {
    LinearExpression epsilon;
    PlanRow row = RowAt(static_cast<double>(timesteps_[i]), &epsilon);
    const double b = AlphaBar(Next(i));
    std::array<LinearExpression, kRegisters> next = {std::sqrt(b) * columns_.d() +
                                                     std::sqrt(1 - b) * epsilon};
    KeepEpsilons(&epsilon, i, &next);
    AddStep(i, std::move(row), next);
  }

  // From timesteps_[i] to timesteps_[i + 1]: slopes at the start, twice half-way, and at the end.
  void AddRungeKutta(size_t i) {
    const double start = static_cast<double>(timesteps_[i]);
    const double end = static_cast<double>(timesteps_[i + 1]);
    const double middle = AsDiffusers(options_) ? end + std::floor(stride_ / 2) : (start + end) / 2;
    const double first = AsDiffusers(options_) ? start - std::floor(stride_ / 2) : middle;
    const double asked[] = {start, middle, middle, end};
    const double reached[] = {first, middle, end, end};
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
      KeepEpsilons(k == 0 ? &epsilon : nullptr, i, &next);
      Add(std::move(row), next, reached[k], /*ends_step=*/k == 3);
    }
  }

  // The first step by Heun's rule: the network is asked at both ends, the second time without a
  // step of its own.
  void AddFirstTwice() {
    const double start = static_cast<double>(timesteps_[0]), end = start - stride_;
    LinearExpression epsilon;
    PlanRow row = RowAt(start, &epsilon);
    const LinearExpression x = columns_.x();
    std::array<LinearExpression, kRegisters> next = {Transfer(x, start, end, epsilon), x};
    KeepEpsilons(&epsilon, 0, &next);
    const bool only = timesteps_.size() == 1;
    Add(std::move(row), next, only ? 0 : static_cast<double>(timesteps_[1]), /*ends_step=*/only);
    if (only) return;

    // diffusers counts the stride back from where the second evaluation stands.
    const double second = static_cast<double>(timesteps_[1]);
    row = RowAt(second, &epsilon);
    next = {
        Transfer(columns_.saved(1), second + stride_, second, 0.5 * (epsilon + columns_.saved(3)))};
    KeepEpsilons(nullptr, 0, &next);
    Add(std::move(row), next, second, /*ends_step=*/true);
  }

  // From timesteps_[i] on, with the epsilons known so far.
  void AddMultistep(size_t i) {
    const double t = static_cast<double>(timesteps_[i]), end = Next(i);
    LinearExpression now;
    PlanRow row = RowAt(t, &now);
    std::vector<double> nodes = {t};
    for (const double known : known_) {
      nodes.push_back(AsDiffusers(options_) ? nodes.back() + stride_ : known);
    }
    LinearExpression epsilon;
    for (int back = 0; back < static_cast<int>(nodes.size()); ++back) {
      const double weight = AdamsBashforthWeight(nodes, end, back) / (end - t);
      epsilon = epsilon + weight * (back == 0 ? now : columns_.saved(2 + back));
    }
    std::array<LinearExpression, kRegisters> next = {Transfer(columns_.x(), t, end, epsilon)};
    KeepEpsilons(&now, i, &next);
    AddStep(i, std::move(row), next);
  }

  // The last epsilons, latest first; `now`, of timesteps_[i], null: as they were.
  void KeepEpsilons(const LinearExpression* now, size_t i,
                    std::array<LinearExpression, kRegisters>* next) {
    for (size_t k = 3; k < kRegisters; ++k) {
      (*next)[k] = columns_.saved(static_cast<int>(now == nullptr ? k : k - 1));
    }
    if (now == nullptr) return;
    (*next)[3] = *now;
    known_.insert(known_.begin(), static_cast<double>(timesteps_[i]));
    if (known_.size() > kRegisters - 3) known_.pop_back();
  }

  const ModelSchedule& model_;
  const SamplingOptions& options_;
  const ContinuousSchedule schedule_;
  const std::vector<int64_t> timesteps_;
  const double stride_;  // Diffusers'.
  const PlanColumns columns_{kRegisters};
  std::vector<double> known_;  // The timesteps of the epsilons kept before the next row.
  SamplingPlan plan_;
};

absl::StatusOr<SamplingPlan> CompilePndm(const ModelSchedule& model,
                                         const SamplingOptions& options) {
  const int64_t t_count = model.num_train_timesteps;
  ASSIGN_OR_RETURN(std::vector<int64_t> timesteps, VisitedTimesteps(model, options));
  const int64_t visited = static_cast<int64_t>(timesteps.size());
  if (AsDiffusers(options) && !options.skip_prk_steps &&
      (visited <= kStartSteps || options.steps > t_count / 2)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "steps is ", visited,
        "; with sampler pndm, skip_prk_steps false and arithmetic diffusers it must be ",
        kStartSteps + 1, " .. ", t_count / 2, ", as the start goes in whole half steps"));
  }
  return Pndm(model, options, std::move(timesteps)).Compile();
}

}  // namespace

const Sampler& PndmSampler() {
  static const auto& sampler = *new Sampler{
      .name = "pndm",
      .description =
          "pseudo linear multistep of order 4, with or without a Runge-Kutta start (Liu "
          "et al. 2022, algorithm 2)",
      .options = {"timestep_spacing", "arithmetic", "skip_prk_steps", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .compile = CompilePndm};
  return sampler;
}

}  // namespace diffusiond
