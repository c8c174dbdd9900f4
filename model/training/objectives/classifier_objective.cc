#include "model/training/objectives/classifier_objective.h"

#include <utility>

#include "model/diffusion/noise_schedule.h"
#include "model/status/status_macros.h"
#include "model/training/objectives/told_levels.h"
#include "model/unet/unet_classifier.h"

namespace diffusiond {
namespace {

class ClassifierObjective : public Objective {
 public:
  ClassifierObjective(const NoiseSchedule& schedule, ToldLevels told, torch::Device device)
      : alpha_bar_(torch::tensor(schedule.alphas_cumprod(), torch::kFloat64).to(device)),
        told_(std::move(told)) {}

  torch::Tensor LossPerImage(const NetworkFunction& network,
                             const DeviceBatch& batch) const override {
    const torch::Tensor alpha_bar = alpha_bar_.index_select(0, batch.timesteps).view({-1, 1, 1, 1});
    const torch::Tensor signal = alpha_bar.sqrt().to(torch::kFloat32);
    const torch::Tensor noise = (1 - alpha_bar).sqrt().to(torch::kFloat32);
    const torch::Tensor output =
        network(signal * batch.x0 + noise * batch.eps, told_.At(batch.timesteps), batch.labels);
    return -ClassLogProbabilities(output).gather(1, batch.labels.view({-1, 1})).squeeze(1);
  }

 private:
  torch::Tensor alpha_bar_;  // [T].
  const ToldLevels told_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Objective>> MakeClassifierObjective(
    const SchedulerConfig& scheduler, torch::Device device) {
  ASSIGN_OR_RETURN(NoiseSchedule schedule, NoiseSchedule::Create(scheduler));
  ASSIGN_OR_RETURN(ToldLevels told, ToldLevels::Create(scheduler, schedule, device));
  return std::make_unique<const ClassifierObjective>(schedule, std::move(told), device);
}

}  // namespace diffusiond
