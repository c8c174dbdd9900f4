#include "model/programs/evaluation/bound_measurement.h"

#include <iostream>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "model/evaluation/progress_bar.h"
#include "model/evaluation/unet_lanes.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::StatusOr<ModelOnData> PutModelOnData(const EvaluationInput& input) {
  const SchedulerConfig& scheduler = input.checkpoint.config().scheduler;
  RETURN_IF_ERROR(CheckMeasurable(scheduler));
  ASSIGN_OR_RETURN(ReverseVariance variance, ParseReverseVariance(scheduler.variance_type));
  ASSIGN_OR_RETURN(int micro_batch, MicroBatchFromFlags());
  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                   RunnerOf(input.checkpoint, micro_batch, *DeviceFromFlags()));
  ModelOnData model;
  model.runner = std::move(runner);
  model.denoiser = std::make_unique<DataDenoiser>(
      input.model, DefaultSamplingOptions(scheduler),
      VariationalBound(input.model.schedule.betas(), variance), &input.data, input.labels,
      absl::GetFlag(FLAGS_seed), model.runner.get());
  return model;
}

absl::StatusOr<MeasuredBound> MeasureBound(const EvaluationInput& input, const ModelOnData& model,
                                           int64_t timesteps_per_image, ByteDecoder decoder,
                                           const std::string& state) {
  const int64_t timesteps = model.denoiser->bound().num_timesteps();
  std::string which = timesteps_per_image == 0 || timesteps_per_image >= timesteps - 1
                          ? absl::StrCat("all ", timesteps, " timesteps")
                          : absl::StrCat("t = 0 and ", timesteps_per_image, " other of ", timesteps,
                                         " timesteps an image");
  if (decoder == ByteDecoder::kLevels) absl::StrAppend(&which, "; L_0 by x_1 alone");
  MeasuredBound measured;
  measured.label = absl::StrCat(input.description, "; ", which);
  std::cout << measured.label << std::endl;
  ProgressBar bar(&std::cout, input.data.size(), {.terminal = OutputIsTerminal()});
  ASSIGN_OR_RETURN(Bounds bounds,
                   RunBound({.timesteps_per_image = timesteps_per_image,
                             .decoder = decoder,
                             .seed = absl::GetFlag(FLAGS_seed),
                             .state = input.out / state,
                             .fingerprint = absl::StrCat(input.fingerprint, ", ", which)},
                            model.denoiser.get(), [&](int64_t done) { bar.Update(done); }));
  measured.bounds = std::move(bounds);
  return measured;
}

}  // namespace diffusiond
