#include "model/training/objectives/denoising_objective.h"

#include <optional>
#include <utility>
#include <vector>

#include "model/diffusion/loss_weights.h"
#include "model/diffusion/noise_schedule.h"
#include "model/diffusion/parameterization.h"
#include "model/diffusion/variational_bound.h"
#include "model/status/status_macros.h"
#include "model/training/objectives/bound_term.h"
#include "model/training/objectives/told_levels.h"

namespace diffusiond {
namespace {

class DenoisingObjective : public Objective {
 public:
  struct Choices {
    PredictionType prediction = PredictionType::kEpsilon;
    std::vector<double> weights;  // [T].
    bool learns_variance = false;
    bool whole_bound = false;  // With a learned variance: L_vlb alone.
    double vlb_weight = 0;
  };

  DenoisingObjective(const NoiseSchedule& schedule, Choices choices, ToldLevels told,
                     torch::Device device)
      : choices_(std::move(choices)), told_(std::move(told)) {
    const auto table = [device](const std::vector<double>& values) {
      return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).to(device);
    };
    const torch::Tensor alpha_bar = torch::tensor(schedule.alphas_cumprod(), torch::kFloat64);
    signal_ = torch::sqrt(alpha_bar).to(torch::kFloat32).to(device);
    noise_ = torch::sqrt(1 - alpha_bar).to(torch::kFloat32).to(device);
    weights_ = table(choices_.weights);
    if (!choices_.learns_variance) return;
    bound_term_.emplace(VariationalBound(schedule.betas(), ReverseVariance::kLearnedRange), device);
    std::vector<double> x0_x, x0_f;
    for (int64_t t = 0; t < schedule.num_train_timesteps(); ++t) {
      const Parameterization p = Parameterize(choices_.prediction, schedule.alpha_bar(t));
      x0_x.push_back(p.x0_x);
      x0_f.push_back(p.x0_f);
    }
    x0_x_ = table(x0_x);
    x0_f_ = table(x0_f);
  }

  torch::Tensor LossPerImage(const NetworkFunction& network,
                             const DeviceBatch& batch) const override {
    const torch::Tensor &x0 = batch.x0, &eps = batch.eps;
    const auto at_timesteps = [&](const torch::Tensor& table) {
      return table.index_select(0, batch.timesteps).view({-1, 1, 1, 1});
    };
    const torch::Tensor signal = at_timesteps(signal_), noise = at_timesteps(noise_);
    const torch::Tensor x_t = signal * x0 + noise * eps;
    const torch::Tensor output = network(x_t, told_.At(batch.timesteps), batch.labels);
    const torch::Tensor f = output.narrow(1, 0, x0.size(1));
    const torch::Tensor squared_error = (f - Target(signal, noise, x0, eps)).square();
    torch::Tensor loss =
        weights_.index_select(0, batch.timesteps) * squared_error.flatten(1).mean(1);
    if (!bound_term_.has_value()) return loss;
    torch::Tensor x0_hat = at_timesteps(x0_x_) * x_t + at_timesteps(x0_f_) * f;
    if (!choices_.whole_bound) x0_hat = x0_hat.detach();
    const torch::Tensor vlb =
        static_cast<double>(x0_x_.numel()) *
        bound_term_->Bits(batch.timesteps, x0, x0_hat, output.narrow(1, x0.size(1), x0.size(1)));
    return choices_.whole_bound ? vlb : loss + choices_.vlb_weight * vlb;
  }

 private:
  torch::Tensor Target(const torch::Tensor& signal, const torch::Tensor& noise,
                       const torch::Tensor& x0, const torch::Tensor& eps) const {
    switch (choices_.prediction) {
      case PredictionType::kSample:
        return x0;
      case PredictionType::kVelocity:
        return signal * eps - noise * x0;
      case PredictionType::kScore:
        return -eps / noise;
      case PredictionType::kEpsilon:
        break;
    }
    return eps;
  }

  const Choices choices_;
  const ToldLevels told_;
  torch::Tensor signal_, noise_, weights_;  // [T]: sqrt(alpha_bar), sqrt(1 - alpha_bar), w.
  std::optional<BoundTerm> bound_term_;     // Of a learned variance,
  torch::Tensor x0_x_, x0_f_;               // which needs x0-hat = x0_x x_t + x0_f F.
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Objective>> MakeDenoisingObjective(
    const SchedulerConfig& scheduler, const ObjectiveOptions& options, torch::Device device) {
  ASSIGN_OR_RETURN(NoiseSchedule schedule, NoiseSchedule::Create(scheduler));
  ASSIGN_OR_RETURN(PredictionType prediction, ParsePredictionType(scheduler.prediction_type));
  ASSIGN_OR_RETURN(ReverseVariance variance, ParseReverseVariance(scheduler.variance_type));
  ASSIGN_OR_RETURN(std::vector<double> weights,
                   LossWeights(schedule, prediction, variance, options.weight));
  ASSIGN_OR_RETURN(ToldLevels told, ToldLevels::Create(scheduler, schedule, device));
  return std::make_unique<const DenoisingObjective>(
      schedule,
      DenoisingObjective::Choices{.prediction = prediction,
                                  .weights = std::move(weights),
                                  .learns_variance = scheduler.learns_variance(),
                                  .whole_bound = options.weight.kind == LossWeight::kBound,
                                  .vlb_weight = options.vlb_weight},
      std::move(told), device);
}

}  // namespace diffusiond
