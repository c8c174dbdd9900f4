#include "model/training/objectives/schedule_objective.h"

#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/diffusion/level_decoder.h"
#include "model/diffusion/noise_schedule.h"
#include "model/diffusion/trained_betas.h"
#include "model/status/status_macros.h"
#include "model/training/objectives/monotone_schedule.h"

namespace diffusiond {
namespace {

torch::Tensor Columns(const torch::Tensor& of_image) {
  return of_image.to(torch::kFloat32).view({-1, 1, 1, 1});
}

class ScheduleObjective : public Objective {
 public:
  ScheduleObjective(PredictionType prediction, int64_t timesteps,
                    std::shared_ptr<MonotoneSchedule> schedule)
      : prediction_(prediction), timesteps_(timesteps), schedule_(std::move(schedule)) {}

  torch::Tensor LossPerImage(const NetworkFunction& network,
                             const DeviceBatch& batch) const override {
    const torch::Tensor gamma_0 = schedule_->gamma_0(), gamma_1 = schedule_->gamma_1();
    const auto factor = std::make_shared<torch::Tensor>();
    const torch::Tensor nats = DenoisingTerm(network, batch, gamma_0, gamma_1, factor) +
                               Prior(batch.x0, gamma_1) + Decoder(batch.x0, gamma_0);
    return std::numbers::log2e * nats;
  }

  std::shared_ptr<torch::nn::Module> module() const override { return schedule_; }

  absl::Status Export(SchedulerConfig* config) const override {
    const torch::Tensor gammas =
        schedule_->Gamma(Times(torch::arange(timesteps_, schedule_->gamma_0().device())))
            .to(torch::kCPU)
            .contiguous();
    config->trained_betas =
        BetasFromGammas({gammas.data_ptr<double>(), static_cast<size_t>(gammas.numel())});
    return NoiseSchedule::Create(*config).status();
  }

 private:
  torch::Tensor Times(const torch::Tensor& timesteps) const {
    return timesteps.to(torch::kFloat64) / static_cast<double>(timesteps_ - 1);
  }

  // At timesteps [N], each of which is asked once if there are few.
  torch::Tensor Shape(const torch::Tensor& timesteps) const {
    if (timesteps.numel() < timesteps_) return schedule_->Shape(Times(timesteps));
    const torch::Tensor all = torch::arange(timesteps_, timesteps.options());
    return schedule_->Shape(Times(all)).index_select(0, timesteps);
  }

  // T times the third part's summand at each image's t -> [B].
  torch::Tensor DenoisingTerm(const NetworkFunction& network, const DeviceBatch& batch,
                              const torch::Tensor& gamma_0, const torch::Tensor& gamma_1,
                              const std::shared_ptr<torch::Tensor>& term) const {
    // Gamma at t and before; at t = 0 at 1 and 0, both only as weights.
    const int64_t count = batch.timesteps.numel();
    const torch::Tensor is_first = batch.timesteps == 0;
    const torch::Tensor after = torch::where(is_first, batch.timesteps + 1, batch.timesteps);
    const torch::Tensor shape = Shape(torch::cat({after, after - 1}));
    const torch::Tensor inner = (gamma_1 - gamma_0).detach() * shape;
    if (inner.requires_grad()) {
      // The term is known by the time that backward gets here.
      inner.register_hook(
          [term](const torch::Tensor& gradient) { return gradient * (2 * *term).repeat({2}); });
    }
    const torch::Tensor gamma =
        gamma_0 + (gamma_1 - gamma_0) * shape.detach() + (inner - inner.detach());
    const torch::Tensor at_one = gamma.narrow(0, 0, count), before = gamma.narrow(0, count, count);
    const torch::Tensor at = torch::where(is_first, before.detach(), at_one);
    const torch::Tensor step = torch::expm1(at_one - before);
    const torch::Tensor weight = torch::where(is_first, step.detach(), step);
    const torch::Tensor result = static_cast<double>(timesteps_) / 2 * weight *
                                 EpsilonError(network, batch, at).to(torch::kFloat64);
    *term = result.detach();
    return result;
  }

  // Mean squared error of eps-hat at gamma [B] -> [B].
  torch::Tensor EpsilonError(const NetworkFunction& network, const DeviceBatch& batch,
                             const torch::Tensor& gamma) const {
    const torch::Tensor &x0 = batch.x0, &eps = batch.eps;
    const torch::Tensor signal = Columns(torch::sigmoid(-gamma).sqrt());
    const torch::Tensor noise = Columns(torch::sigmoid(gamma).sqrt());
    const torch::Tensor f = network(signal * x0 + noise * eps, batch.timesteps, batch.labels);
    torch::Tensor error;
    switch (prediction_) {
      case PredictionType::kEpsilon:
        error = f - eps;
        break;
      case PredictionType::kSample:
        error = signal / noise * (f - x0);
        break;
      case PredictionType::kVelocity:
        error = signal * (f - (signal * eps - noise * x0));
        break;
      case PredictionType::kScore:
        error = noise * f + eps;
        break;
    }
    return error.square().flatten(1).mean(1);
  }

  // KL(N(alpha x, sigma^2) || N(0, 1)) -> [B], in nats.
  static torch::Tensor Prior(const torch::Tensor& x0, const torch::Tensor& gamma_1) {
    const torch::Tensor square = x0.square().flatten(1).mean(1).to(torch::kFloat64);
    return 0.5 * (torch::sigmoid(-gamma_1) * (square - 1) + torch::softplus(-gamma_1));
  }

  // E[-log p(x | z_0)] -> [B], in nats.
  static torch::Tensor Decoder(const torch::Tensor& x0, const torch::Tensor& gamma_0) {
    const LevelDecoderNats nats = DecodeLevels(gamma_0.item<double>());
    const torch::Tensor level =
        torch::round((x0.flatten(1) + 1) * 127.5).clamp(0, kByteLevels - 1).to(torch::kInt64);
    const auto mean = [&](const std::array<double, kByteLevels>& of_level) {
      const torch::Tensor table =
          torch::tensor(at::ArrayRef<double>(of_level), torch::kFloat64).to(x0.device());
      return table.index_select(0, level.flatten()).view_as(level).mean(1);
    };
    // The tangent: of the same value and the same gradient.
    return mean(nats.value) + mean(nats.slope) * (gamma_0 - gamma_0.detach());
  }

  const PredictionType prediction_;
  const int64_t timesteps_;
  const std::shared_ptr<MonotoneSchedule> schedule_;
};

double Gamma(double alpha_bar) { return std::log((1 - alpha_bar) / alpha_bar); }

}  // namespace

absl::StatusOr<std::unique_ptr<const Objective>> MakeScheduleObjective(
    const SchedulerConfig& scheduler, torch::Device device) {
  ASSIGN_OR_RETURN(NoiseSchedule betas, NoiseSchedule::Create(scheduler));
  ASSIGN_OR_RETURN(PredictionType prediction, ParsePredictionType(scheduler.prediction_type));
  if (scheduler.tells_log_sigma()) {
    return absl::InvalidArgumentError(
        "timestep_type is 'continuous'; with a learned schedule it must be 'discrete'");
  }
  const int64_t timesteps = betas.num_train_timesteps();
  if (timesteps < 2) {
    return absl::InvalidArgumentError(absl::StrCat("num_train_timesteps is ", timesteps,
                                                   "; a learned schedule needs at least 2"));
  }
  auto schedule = std::make_shared<MonotoneSchedule>(Gamma(betas.alpha_bar(0)),
                                                     Gamma(betas.alpha_bar(timesteps - 1)));
  schedule->to(device);
  return std::make_unique<const ScheduleObjective>(prediction, timesteps, std::move(schedule));
}

}  // namespace diffusiond
