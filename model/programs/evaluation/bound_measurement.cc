#include "model/programs/evaluation/bound_measurement.h"

#include <iostream>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "model/evaluation/progress_bar.h"
#include "model/evaluation/unet_lanes.h"

namespace diffusiond {

absl::StatusOr<ModelOnData> PutModelOnData(const EvaluationInput& input) {
  const SchedulerConfig& scheduler = input.checkpoint.config().scheduler;
  if (absl::Status status = CheckMeasurable(scheduler); !status.ok()) return status;
  absl::StatusOr<ReverseVariance> variance = ParseReverseVariance(scheduler.variance_type);
  if (!variance.ok()) return variance.status();
  absl::StatusOr<int> micro_batch = MicroBatchFromFlags();
  if (!micro_batch.ok()) return micro_batch.status();
  absl::StatusOr<std::unique_ptr<PlanRunner>> runner =
      RunnerOf(input.checkpoint, *micro_batch, *DeviceFromFlags());
  if (!runner.ok()) return runner.status();
  ModelOnData model;
  model.runner = *std::move(runner);
  model.denoiser = std::make_unique<DataDenoiser>(
      input.model, DefaultSamplingOptions(scheduler),
      VariationalBound(input.model.schedule.betas(), *variance), &input.data, input.labels,
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
  absl::StatusOr<Bounds> bounds =
      RunBound({.timesteps_per_image = timesteps_per_image,
                .decoder = decoder,
                .seed = absl::GetFlag(FLAGS_seed),
                .state = input.out / state,
                .fingerprint = absl::StrCat(input.fingerprint, ", ", which)},
               model.denoiser.get(), [&](int64_t done) { bar.Update(done); });
  if (!bounds.ok()) return bounds.status();
  measured.bounds = *std::move(bounds);
  return measured;
}

}  // namespace diffusiond
