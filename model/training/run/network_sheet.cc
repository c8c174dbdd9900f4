#include "model/training/run/network_sheet.h"

#include "model/sampling/sampler.h"
#include "model/status/status_macros.h"
#include "model/training/run/sample_sheet.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_classifier.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {

absl::StatusOr<std::unique_ptr<NetworkSheet>> NetworkSheet::Create(const TrainerOptions& options,
                                                                   torch::Device device) {
  std::shared_ptr<UNet> base;
  if (options.base != nullptr) {
    ASSIGN_OR_RETURN(std::shared_ptr<UNet> network, LoadUNet(*options.base));
    network->to(device);
    base = std::move(network);
  }
  return std::unique_ptr<NetworkSheet>(new NetworkSheet(options, device, std::move(base)));
}

absl::StatusOr<Image> NetworkSheet::Draw(const CheckpointConfig& model,
                                         const std::shared_ptr<const UNet>& network) const {
  ASSIGN_OR_RETURN(ModelSchedule schedule, MakeModelSchedule(model.scheduler));
  ASSIGN_OR_RETURN(SamplingPlan plan, CompilePlan(schedule, options_.sampling));
  const UNetDenoiser::Options denoiser = {.micro_batch = kSampleSheetColumns,
                                          .device = device_,
                                          .intra_op_threads = at::get_num_threads()};
  DrawSpec spec;
  spec.seed = options_.seed;
  spec.null_label = options_.model.null_class_id.value_or(0);
  std::unique_ptr<NoiseClassifier> classifier;
  if (base_ == nullptr) {
    spec.guidance.scale = options_.guidance_scale;
  } else {
    // Without the class, where the model can: what is seen of it is the classifier's doing.
    spec.guidance.scale = options_.model.null_class_id.has_value() ? 0 : 1;
    spec.guidance.classifier_scale = options_.guidance_scale;
    classifier = std::make_unique<UNetClassifier>(
        network, UNetClassifier::Options{.micro_batch = denoiser.micro_batch,
                                         .device = denoiser.device,
                                         .intra_op_threads = denoiser.intra_op_threads});
  }
  return DrawSampleSheet(
      plan, spec, NumClasses(options_.model),
      std::make_unique<UNetDenoiser>(base_ == nullptr ? network : base_, denoiser),
      std::move(classifier));
}

}  // namespace diffusiond
